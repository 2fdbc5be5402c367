"""The vocabulary that every layer shares; it imports nothing else of the package."""
