"""CUDA source, compiled where it runs (vs_vrt/cuda.py)."""
