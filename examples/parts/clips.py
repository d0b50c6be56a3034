"""Videos as clips: reading, resizing, writing."""

from pathlib import Path

import av
import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray
from vapoursynth import core


def load(path: Path) -> vs.VideoNode:
    """The video, or one line and exit. A matrix that the file does not name is guessed as Restore guesses it."""
    if not path.exists():
        raise SystemExit(f"vrt: there is no file {path}; give one, `make demo INPUT=clip.mp4`")
    try:
        clip = core.bs.VideoSource(str(path))
    except vs.Error as error:
        raise SystemExit(f"vrt: {path} cannot be read as video ({error}); `ffmpeg -i {path}` tells more") from None
    if clip.get_frame(0).props.get("_Matrix", vs.MATRIX_UNSPECIFIED) == vs.MATRIX_UNSPECIFIED:
        guess = vs.MATRIX_BT709 if clip.width > 1024 or clip.height > 576 else vs.MATRIX_ST170_M
        clip = clip.std.SetFrameProps(_Matrix=vs.MATRIX_RGB if clip.format.color_family == vs.RGB else guess)
    return clip


def rgb(clip: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
    """The clip in 8-bit RGB, resized by the bicubic of the papers: a = -0.5, antialiased where it shrinks."""
    return clip.resize.Bicubic(width, height, vs.RGB24, filter_param_a=0, filter_param_b=0.5)


def pixels(frame: vs.VideoFrame) -> NDArray[np.uint8]:
    """`(h w 3)`."""
    return np.dstack([np.asarray(frame[plane]) for plane in range(3)])


def write(path: Path, clip: vs.VideoNode) -> None:
    """Writes a YUV444P8, BT.709 clip without loss; nothing is at `path` before all of it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part.mkv")
    with av.open(str(unfinished), "w") as container:
        stream = container.add_stream("ffv1", rate=clip.fps)
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1  # BT.709, limited
        for frame in clip.frames(close=True):
            planes = np.stack([np.asarray(frame[plane]) for plane in range(3)])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv444p")))
        container.mux(stream.encode())
    unfinished.replace(path)
