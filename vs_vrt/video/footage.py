"""Reads and writes video files and frame folders as RGB of 8 bits, to learn from and to compare."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from vs_vrt.errors import ClipError

VIDEO_SUFFIXES = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".ts", ".m2ts", ".y4m"}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}

type Codec = Literal["jpeg", "h264"]


def footage(folder: Path) -> list[Path]:
    """Video files and folders of images in `folder`, sorted: each is one clip. Else `folder`, if it holds images."""
    entries = sorted(folder.iterdir())
    found = [entry for entry in entries if entry.suffix.lower() in VIDEO_SUFFIXES or is_image_folder(entry)]
    return found or [folder] * is_image_folder(folder)


def is_image_folder(path: Path) -> bool:
    """Whether `path` is a folder with at least one image directly in it."""
    return path.is_dir() and any(entry.suffix.lower() in IMAGE_SUFFIXES for entry in path.iterdir())


def read_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """`(h w 3)` RGB, 8 bits, frame by frame, from a video file or from a folder of images in name order.

    Raises `ClipError` where a file cannot be read.
    """
    for file in image_files(path) if path.is_dir() else [path]:
        with readable(file), av.open(str(file)) as container:
            for frame in container.decode(video=0):
                yield rgb(frame)


def rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """`(h w 3)`, 8 bits."""
    return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what PyAV raises while it reads `path` into `ClipError`."""
    try:
        yield
    except (av.FFmpegError, IndexError) as error:  # IndexError: there is no video in it
        reason = error.strerror if isinstance(error, av.FFmpegError) else "it holds no video"
        raise ClipError(f"{path} cannot be read ({reason}); `remove it, or get it again`") from error


@dataclass(frozen=True, kw_only=True)
class Index:
    """What reading some frames of a clip takes: how many there are, and where."""

    count: int
    size: tuple[int, int]  # (h, w)
    times: tuple[int, ...] = ()  # of a video file's frames, where it tells them all
    keys: tuple[int, ...] = ()  # times of the frames that others are not needed for
    files: tuple[Path, ...] = ()  # of a folder's frames


def index(path: Path) -> Index:
    """Finds the frames of a video file or a folder of images without decoding them, where it can.

    Raises `ClipError` where the file cannot be read or holds no frames.
    """
    found = index_folder(path) if path.is_dir() else index_file(path)
    if not found.count:
        raise ClipError(f"{path} holds no frames; `remove it, or get it again`")
    return found


def index_folder(path: Path) -> Index:
    """The size is that of the first image."""
    files = tuple(image_files(path))
    return Index(count=len(files), size=size_of(files[0]) if files else (0, 0), files=files)


def image_files(path: Path) -> list[Path]:
    """In name order."""
    return sorted(entry for entry in path.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES)


def size_of(path: Path) -> tuple[int, int]:
    """(h, w) of a file's frames."""
    with readable(path), av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return context.height, context.width


def index_file(path: Path) -> Index:
    """Reads what is around the frames; where their times are missing or not unique, they are counted by decoding."""
    size = size_of(path)
    with readable(path), av.open(str(path)) as container:
        packets = (packet for packet in container.demux(video=0) if packet.size and not packet.is_discard)
        found = [(packet.pts, packet.is_keyframe) for packet in packets]
    times = sorted({time for time, _ in found if time is not None})
    keys = sorted({time for time, is_key in found if is_key and time is not None})
    if len(times) < len(found) or not keys:
        return Index(count=sum(1 for _ in read_frames(path)), size=size)
    return Index(count=len(times), size=size, times=tuple(times), keys=tuple(keys))


def read_piece(path: Path, found: Index, start: int, stop: int) -> NDArray[np.uint8]:
    """`-> (t h w 3)`: frames `start` to `stop - 1` of an indexed clip, the same that `read_frames` gives.

    Raises `ClipError` where they cannot be read, are fewer, or not of the index's size.
    """
    if found.files:
        frames = [frame for file in found.files[start:stop] for frame in read_frames(file)]
    else:
        frames = seek(path, found, start, stop) or list(islice(read_frames(path), start, stop))
    if len(frames) != stop - start:
        raise ClipError(f"{path} ends before its frame {stop}; `remove it, or get it again`")
    return stacked(path, frames, found.size)


def seek(path: Path, found: Index, start: int, stop: int) -> list[NDArray[np.uint8]]:
    """Decodes on from the last key frame before `start`; nothing where that fails, or gives frames of other times."""
    wanted = found.times[start:stop]
    if not wanted:
        return []
    key = found.keys[max(bisect_right(found.keys, wanted[0]) - 1, 0)]
    frames: list[NDArray[np.uint8]] = []
    with suppress(av.FFmpegError), av.open(str(path)) as container:
        container.seek(key, stream=container.streams.video[0])
        for frame in container.decode(video=0):
            if frame.pts is None or frame.pts > wanted[len(frames)]:
                break
            if frame.pts == wanted[len(frames)]:
                frames.append(rgb(frame))
            if len(frames) == len(wanted):
                return frames
    return []


def stacked(path: Path, frames: Iterable[NDArray[np.uint8]], size: tuple[int, int]) -> NDArray[np.uint8]:
    """`(h w 3)... -> (t h w 3)`. Raises `ClipError` where one has another size."""
    kept = []
    for frame in frames:
        if frame.shape[:2] != size:
            (h, w), (height, width) = frame.shape[:2], size
            raise ClipError(f"{path} has frames of {width}x{height} and of {w}x{h}; `make them one size`")
        kept.append(frame)
    return np.stack(kept)


def read_clip(path: Path, found: Index) -> NDArray[np.uint8]:
    """`-> (t h w 3)`: all frames of an indexed clip. Raises `ClipError` as `read_piece`."""
    return stacked(path, read_frames(path), found.size)


def recode(planes: NDArray[np.uint8], codec: Codec, quantiser: int) -> NDArray[np.uint8]:
    """`(t (h 3/2) w) -> (t (h 3/2) w)`: YUV 4:2:0 of even sizes, 8 bits, one plane after the other, after compression.

    Each frame as a JPEG of quantiser 2 (best) to 31, or all as one H.264 clip of constant rate factor 0 (best) to 51.
    """
    encoder = av.CodecContext.create("libx264" if codec == "h264" else "mjpeg", "w")
    encoder.height, encoder.width = planes.shape[1] * 2 // 3, planes.shape[2]
    encoder.time_base, encoder.thread_count = Fraction(1, 25), 1  # what several threads make depends on their number
    encoder.pix_fmt = "yuv420p" if codec == "h264" else "yuvj420p"
    if codec == "h264":
        encoder.options = {"crf": str(quantiser), "preset": "veryfast"}
    else:
        encoder.qmin = encoder.qmax = quantiser
    packets = []
    for i, array in enumerate(planes):
        frame = av.VideoFrame.from_ndarray(array, format=encoder.pix_fmt)
        frame.pts = i
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("h264" if codec == "h264" else "mjpeg", "r")
    return np.stack([frame.to_ndarray() for packet in (*packets, None) for frame in decoder.decode(packet)])


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
