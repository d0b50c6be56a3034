"""Restores video with the VRT and BasicVSR families of networks. Importing it loads neither torch nor VapourSynth."""
