"""Pixel formats as FFmpeg names them, and how their samples lie."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from vs_vrt.errors import ClipError

# Formats whose samples lie interleaved or on the other side of a byte, and the planar ones of the same samples.
REPACKED = {
    **dict.fromkeys(("nv12", "nv21"), "yuv420p"),
    "nv16": "yuv422p",
    **dict.fromkeys(("yuyv422", "uyvy422", "yvyu422"), "yuv422p"),
    **dict.fromkeys(("nv24", "nv42"), "yuv444p"),
    **{f"p0{bits}le": f"yuv420p{bits}le" for bits in (10, 12, 16)},
    **{f"p2{bits}le": f"yuv422p{bits}le" for bits in (10, 12, 16)},
    **{f"p4{bits}le": f"yuv444p{bits}le" for bits in (10, 12, 16)},
    "v210": "yuv422p10le",
    **dict.fromkeys(("rgb24", "bgr24", "rgb0", "bgr0", "0rgb", "0bgr"), "gbrp"),
    **dict.fromkeys(("rgb48le", "bgr48le", "rgb48be", "bgr48be"), "gbrp16le"),
    **dict.fromkeys(("x2rgb10le", "x2bgr10le"), "gbrp10le"),
    **dict.fromkeys(("monow", "monob"), "gray"),
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Of planes, each of samples of 8 to 16 bits, or float."""

    name: str  # of the format in which they lie
    family: Literal["gray", "rgb", "yuv"]
    bits: int
    is_float: bool
    sub_w: int  # of chroma, as powers of two
    sub_h: int
    full_range: bool  # which old formats for JPEG say by their name

    @property
    def order(self) -> tuple[int, ...]:
        """Of the planes that are Y, U, V or R, G, B."""
        return {"gray": (0,), "rgb": (2, 0, 1), "yuv": (0, 1, 2)}[self.family]


def layout_of(name: str) -> Layout:
    """Of a format, or of the planar one of the same samples. Raises `ClipError` where there is none."""
    full_range = name.startswith("yuvj")
    name = REPACKED.get(name, name.replace("yuvj", "yuv"))
    try:
        format = av.VideoFormat(name, 64, 64)
    except ValueError as error:
        raise ClipError(f"pixel format {name} is unknown; `ffmpeg -i IN -pix_fmt yuv420p OUT`") from error
    if format.has_palette or any(component.is_alpha for component in format.components):
        what = "a palette" if format.has_palette else "an alpha channel"
        raise ClipError(f"frames of pixel format {name} have {what}; `ffmpeg -i IN -pix_fmt gbrp -c:v ffv1 OUT.mkv`")
    if name.endswith("be"):
        name = f"{name[:-2]}le"
    if not format.components:
        raise ClipError(f"frames of pixel format {name} lie on a GPU; `ffmpeg -i IN -pix_fmt yuv420p OUT`")
    colours: Literal["rgb", "yuv"] = "rgb" if format.is_rgb else "yuv"
    family: Literal["gray", "rgb", "yuv"] = colours if len(format.components) == 3 else "gray"
    planes = sorted(component.plane for component in format.components)
    bits = format.components[0].bits
    if planes != [0, 1, 2][: len(planes)] or not (8 <= bits <= 16 or "f32" in name):
        raise ClipError(f"pixel format {name} is not supported; `ffmpeg -i IN -pix_fmt yuv444p16le -c:v ffv1 OUT.mkv`")
    return Layout(
        name=name,
        family=family,
        bits=bits,
        is_float="f32" in name or "f16" in name,
        sub_w=(64 // (format.chroma_width(64) or 64)).bit_length() - 1,
        sub_h=(64 // (format.chroma_height(64) or 64)).bit_length() - 1,
        full_range=full_range,
    )


def plane_of(frame: av.VideoFrame, i: int, layout: Layout) -> NDArray[Any]:
    """`(h w)`: a view."""
    plane = frame.planes[i]
    kind = "<f4" if layout.is_float else "u1" if layout.bits == 8 else "<u2"
    samples = np.frombuffer(plane, dtype=kind)
    return samples.reshape(-1, plane.line_size // samples.itemsize)[: plane.height, : plane.width]


def nearest(wanted: Layout, names: list[str]) -> Layout:
    """The format among `names` that loses least: of the same kind of colour, no less chroma, no fewer bits.

    Raises `ClipError` where none is planar and has colours, if there are any.
    """
    known = []
    for name in names:
        if name in REPACKED or name.startswith("yuvj"):
            continue  # its samples would have to lie as they do there
        with suppress(ClipError):
            known.append(layout_of(name))

    def loss(layout: Layout) -> tuple[int, ...]:
        return (
            layout.is_float,
            max(0, layout.sub_w - wanted.sub_w) + max(0, layout.sub_h - wanted.sub_h),
            max(0, min(wanted.bits, 16) - layout.bits),
            layout.family != wanted.family and wanted.family == "rgb",
            layout.family != wanted.family,
            abs(layout.sub_w - wanted.sub_w) + abs(layout.sub_h - wanted.sub_h),
            abs(layout.bits - wanted.bits),
            layout.full_range,
        )

    known = [layout for layout in known if wanted.family == "gray" or layout.family != "gray"]
    if not known:
        raise ClipError("the codec takes no frames of planes; `--codec libx264`")
    return min(known, key=loss)
