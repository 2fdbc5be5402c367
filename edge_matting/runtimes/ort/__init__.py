"""onnxruntime behind the session protocol."""
