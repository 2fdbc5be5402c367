"""The plan of the engine: made, measured and adapted."""
