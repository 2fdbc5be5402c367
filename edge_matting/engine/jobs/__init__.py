"""Jobs of the engine: where their results and originals go."""
