"""How a node finds peers and stays connected to some."""
