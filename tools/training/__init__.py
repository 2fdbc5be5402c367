"""Training of the default matting network: data, network, losses, validation."""
