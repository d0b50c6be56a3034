"""The networks, one architecture a file; attribute names are the keys of the official checkpoints."""
