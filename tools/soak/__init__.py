"""Hours of mixed work, compressed: does anything grow?"""
