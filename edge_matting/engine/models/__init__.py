"""Models of the engine: loaded, tested, kept, checked again."""
