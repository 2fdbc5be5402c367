"""Labels for photos without masks: what teacher networks say of them, kept where they agree."""
