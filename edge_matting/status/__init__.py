"""The status page, its API, health checks and metrics: the appliance seen from a browser."""
