"""PyTorch behind the session protocol."""
