"""A clip of a file's frames, as they are stored, for those who have no source filter at hand."""

import numpy as np
import vapoursynth as vs

from vs_vrt.video.pixels import Layout
from vs_vrt.video.reader import Facts, Reader

FAMILIES = {"gray": vs.GRAY, "rgb": vs.RGB, "yuv": vs.YUV}
UNKNOWN = 2  # in H.273


def source(core: vs.Core, reader: Reader) -> vs.VideoNode:
    """The frames of a file; asked for in another order than theirs they are found as well, but slowly.

    Frames raise `vapoursynth.Error` where they cannot be decoded.
    """
    facts = reader.facts
    blank = core.std.BlankClip(
        format=format_of(core, facts.layout),
        width=facts.width,
        height=facts.height,
        length=facts.count,
        fpsnum=facts.rate.numerator,
        fpsden=facts.rate.denominator,
        keep=True,
    )
    shared = properties(facts)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        made = f.copy()
        for plane, samples in enumerate(reader.planes(n)):
            np.copyto(np.asarray(made[plane]), samples)
        duration = (facts.times[n + 1] - facts.times[n]) * facts.time_base
        timing = {
            "_DurationNum": duration.numerator,
            "_DurationDen": duration.denominator,
            "_AbsoluteTime": float(facts.times[n] * facts.time_base),
        }
        for name, value in (shared | timing).items():
            made.props[name] = value
        return made

    return core.std.ModifyFrame(blank, blank, fill)


def format_of(core: vs.Core, layout: Layout) -> int:
    """VapourSynth's number."""
    kind = vs.FLOAT if layout.is_float else vs.INTEGER
    family = FAMILIES[layout.family]
    return int(core.query_video_format(family, kind, layout.bits, layout.sub_w, layout.sub_h).id)


def properties(facts: Facts) -> dict[str, int]:
    """Those that all frames have; what nobody knows is left out."""
    found = {"_Primaries": facts.primaries, "_Transfer": facts.transfer, "_Matrix": facts.matrix}
    if facts.layout.family == "rgb":
        found["_Matrix"] = 0
    known = {name: value for name, value in found.items() if value != UNKNOWN}
    if facts.full_range is not None:
        known["_Range"] = int(facts.full_range)
    if facts.chroma_location is not None:
        known["_ChromaLocation"] = facts.chroma_location
    if facts.sar:
        known |= {"_SARNum": facts.sar.numerator, "_SARDen": facts.sar.denominator}
    return known | {"_FieldBased": 0}
