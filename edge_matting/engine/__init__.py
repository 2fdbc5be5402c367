"""The work process: claims jobs, does them, publishes, reports progress to the daemon."""
