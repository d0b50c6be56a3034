"""Reads and writes video files and frame folders. The only importer of PyAV."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

VIDEO_SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".ts", ".m2ts", ".y4m"}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


def footage(folder: Path) -> list[Path]:
    """Video files and folders of images below `folder`, sorted: each is one clip."""
    entries = sorted(folder.iterdir())
    return [entry for entry in entries if entry.suffix.lower() in VIDEO_SUFFIXES or is_image_folder(entry)]


def is_image_folder(path: Path) -> bool:
    """Whether `path` is a folder with at least one image directly in it."""
    return path.is_dir() and any(entry.suffix.lower() in IMAGE_SUFFIXES for entry in path.iterdir())


def read_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """`(h w 3)` RGB, 8 bits, frame by frame, from a video file or from a folder of images in name order."""
    files = sorted(e for e in path.iterdir() if e.suffix.lower() in IMAGE_SUFFIXES) if path.is_dir() else [path]
    for file in files:
        with av.open(str(file)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Writes `(h w 3)` RGB, 8 bits, as a PNG file."""
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "rgb24"
        for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")):
            container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
