"""The control process: watches folders, supervises the engine, serves the page, tells systemd."""
