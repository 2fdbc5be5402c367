"""The quality gate: what a matte measures, what error that predicts, and its verdict."""
