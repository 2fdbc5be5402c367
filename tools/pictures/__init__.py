"""Pictures and tables of the docs, made by commands."""
