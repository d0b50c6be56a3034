"""Frames into segments: files of packets that begin with a key frame and need no other."""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
from numpy.typing import NDArray

from vs_vrt.errors import ArgumentError, ClipError
from vs_vrt.video.pixels import Layout, nearest, plane_of

QUIET = {"SVT_LOG": "1"}  # what encoders read from the environment: errors alone
SMALLEST = 64  # pixels a side, x265's unit of coding: below, the one in PyAV's wheel writes past what it allocated
CONTAINER = "nut"  # keeps time bases as they are
AHEAD = 64  # frames that an encoder may decode ahead: containers shift what would begin before 0


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How frames become packets."""

    codec: str
    options: Mapping[str, str] = field(default_factory=dict)
    layout: Layout
    height: int
    width: int
    rate: Fraction
    time_base: Fraction
    sar: Fraction | None
    matrix: int  # as `Facts` has them
    primaries: int
    transfer: int
    full_range: bool | None
    chroma_location: int | None


def layout_for(codec: str, wanted: Layout) -> Layout:
    """What of the formats that the encoder takes loses least of frames. Raises `ArgumentError`."""
    try:
        formats = av.codec.Codec(codec, "w").video_formats or []
    except (ValueError, av.FFmpegError) as error:
        raise ArgumentError(f"unknown codec {codec}; `--codec libx264`, `--codec libx265`, `--codec ffv1`") from error
    return nearest(wanted, [each.name for each in formats])


class Segment:
    """A file that is being written. Each has an encoder of its own: what it makes depends on its frames alone.

    Raises `ArgumentError` where the encoder does not take the options.
    """

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self._layout, self._time_base = encoding.layout, encoding.time_base
        self._start = round(AHEAD / encoding.rate / encoding.time_base)
        self._container = av.open(str(path), "w", format=CONTAINER)
        try:
            self._stream = add_stream(self._container, encoding)
        except BaseException:
            self._container.close()
            raise

    def write(self, planes: Sequence[NDArray[Any]], time: int) -> None:
        """`(h w)...`: Y, U, V or R, G, B of the frame at a time of 0 or more, in units of the time base.

        In the file times are later by `AHEAD` frames.
        """
        frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], self._layout.name)
        for i, plane in zip(self._layout.order, planes, strict=True):
            plane_of(frame, i, self._layout)[:] = plane
        frame.pts, frame.time_base = self._start + time, self._time_base
        context = self._stream.codec_context
        frame.colorspace, frame.color_range = context.colorspace, context.color_range
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        """Ends the stream; what is not complete is not ended, but closed."""
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


def add_stream(container: Any, encoding: Encoding, threads: int = 0) -> Any:
    """A stream of a container, with its encoder, which has as many threads as it likes.

    Raises `ArgumentError` where that does not take the options.
    """
    options = dict(encoding.options)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        stream: Any = container.add_stream(encoding.codec, rate=encoding.rate, options=options)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = encoding.width, encoding.height, encoding.layout.name
        context.thread_count = threads
        context.time_base = stream.time_base = encoding.time_base
        if encoding.sar:
            context.sample_aspect_ratio = encoding.sar
        context.colorspace, context.color_primaries = encoding.matrix, encoding.primaries
        context.color_trc = encoding.transfer
        if encoding.chroma_location is not None:
            context.chroma_sample_location = encoding.chroma_location + 1
        if encoding.full_range is not None:
            context.color_range = 2 if encoding.full_range else 1
        context.open(strict=True)
    except (av.FFmpegError, ValueError) as error:
        text = "".join(f" -e {key}={value}" for key, value in options.items())
        reason = error.strerror if isinstance(error, av.FFmpegError) else str(error)
        raise ArgumentError(
            f"{encoding.codec} cannot make {encoding.width}x{encoding.height} {encoding.layout.name}{text} ({reason}); "
            f"`ffmpeg -h encoder={encoding.codec}` lists what it can"
        ) from error
    return stream


def refuse_unusable(encoding: Encoding) -> None:
    """Raises `ArgumentError` for an option that FFmpeg would pass over, and for frames that an encoder breaks at."""
    codec, options = encoding.codec, encoding.options
    if codec == "libx265" and min(encoding.width, encoding.height) < SMALLEST:
        raise ArgumentError(
            f"libx265 spoils memory where frames are smaller than {SMALLEST}x{SMALLEST}; `--codec libx264`"
        )
    supported: Any = av.CodecContext.create(codec, "w").supported_options
    known = {option.name for option in (*supported.generic, *supported.private)}
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean `-e {near[0]}={options[name]}`?" if near else f"`ffmpeg -h encoder={codec}`"
            raise ArgumentError(f"{codec} has no option {name}; {hint}")


@contextmanager
def writable(out: Path) -> Iterator[None]:
    """Turns what goes wrong while files are written into `ClipError`: what is finished stays."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        reason = error.strerror or type(error).__name__
        raise ClipError(f"{out} cannot be written ({reason}); `df -h {out.parent}`, then `--resume`") from error
