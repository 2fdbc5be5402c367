"""What the status page shows and does, over the daemon's parts."""
