"""Filters of ffmpeg, on raw planes through pipes. The only user of imageio-ffmpeg, which brings the program."""

import subprocess
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMATS = {(1, "uint8"): "gray", (3, "uint16"): "yuv444p16le"}

type Planes = NDArray[Any]  # (n c h w)


def filtered(graph: str, planes: Planes) -> Planes:
    """`(n c h w) -> (n c h w)`: gray of 8 bits or YUV of 16, frame by frame through a filter graph, in one thread."""
    import imageio_ffmpeg

    _, c, h, w = planes.shape
    form = ["-f", "rawvideo", "-pix_fmt", FORMATS[c, planes.dtype.name], "-s", f"{w}x{h}"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-threads", "1", "-filter_threads", "1"]
    command += [*form, "-i", "-", "-vf", graph, *form, "-"]
    found = subprocess.run(command, input=planes.tobytes(), capture_output=True, check=False)
    if found.returncode or len(found.stdout) != planes.nbytes:
        raise RuntimeError(f"ffmpeg failed on {graph}: {found.stderr.decode(errors='replace')}")
    return np.frombuffer(found.stdout, planes.dtype).reshape(planes.shape)
