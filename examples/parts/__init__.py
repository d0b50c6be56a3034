"""What the scripts of this folder are made of."""
