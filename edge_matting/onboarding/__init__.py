"""Bring your own model: propose a manifest from its graph, try it on photos, keep what works."""
