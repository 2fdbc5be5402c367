"""Re-exports that the matte cache should answer, and edits that it must refuse."""
