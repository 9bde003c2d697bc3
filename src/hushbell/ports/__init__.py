"""The only ways out: what the rules need of the world, said as protocols."""
