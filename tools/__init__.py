"""Tools for developers: benchmarks, training, chaos, soak, trial and gate; README.md lists them."""
