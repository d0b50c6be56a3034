"""Training of the networks: footage in, a checkpoint out."""
