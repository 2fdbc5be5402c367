"""Benchmarks: pace, latency, memory and error, each a committed command."""
