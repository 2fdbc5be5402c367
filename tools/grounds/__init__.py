"""How well photos on known grounds are cut out: rendered scenes, plates, green screens, sheets."""
