"""The VapourSynth side: what `core.vrt.*` functions decide, and frames in and out of the engine.

Installed as `vs_vrt.filters`. The native plugin calls `bridge`; nothing here touches a VapourSynth core.
"""
