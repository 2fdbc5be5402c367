"""Model files read without a runtime: their tensors and their structure."""
