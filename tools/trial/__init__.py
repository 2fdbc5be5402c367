"""The installed service on a real systemd, in a container."""
