"""The frames of a file as they are stored, by number."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import Any

import av
from numpy.typing import NDArray

from vs_vrt.errors import ClipError
from vs_vrt.video.footage import Index, index, readable
from vs_vrt.video.pixels import Layout, layout_of, plane_of

FAR = 250  # frames that are rather decoded than sought past


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of all frames."""

    count: int
    height: int
    width: int
    layout: Layout
    rate: Fraction  # frames a second, on average
    time_base: Fraction  # seconds
    times: tuple[int, ...]  # of each frame, in units of the time base, and of the end
    sar: Fraction | None
    rotation: int  # degrees
    matrix: int  # these four as ITU-T H.273 numbers them, 2: nobody knows
    primaries: int
    transfer: int
    full_range: bool | None
    chroma_location: int | None  # as VapourSynth numbers them


class Reader:
    """Decodes on from where it is, seeks where that is far, and keeps the last `kept` frames.

    Raises `ClipError` where the file cannot be read, or is none that can be restored.
    """

    def __init__(self, path: Path, kept: int = 64) -> None:
        self.path, self._kept = path, kept
        self._index = index(path)
        self._lock = Lock()
        self._ring: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self._next, self._frames = 0, self._decode(0)
        self.facts = self._look()

    def keep(self, count: int) -> None:
        """At least so many frames."""
        self._kept = max(self._kept, count)

    def planes(self, n: int) -> list[NDArray[Any]]:
        """`(h w)...`: Y, U, V or R, G, B of frame `n`, views of what was decoded. Raises `ClipError`."""
        frame, layout = self.frame(n), self.facts.layout
        if (frame.width, frame.height) != (self.facts.width, self.facts.height):
            raise ClipError(
                f"{self.path} changes from {self.facts.width}x{self.facts.height} to {frame.width}x{frame.height} "
                f"at frame {n}; `ffmpeg -i IN -vf scale={self.facts.width}:{self.facts.height} OUT`"
            )
        if frame.format.name.replace("yuvj", "yuv") != layout.name:
            frame = frame.reformat(format=layout.name)
        return [plane_of(frame, i, layout) for i in layout.order]

    def frame(self, n: int) -> av.VideoFrame:
        """Frame `n`. Raises `ClipError`."""
        with self._lock:
            if n not in self._ring and not self._next <= n < self._next + FAR:
                self._next, self._frames = n, self._decode(n)
            while n not in self._ring:
                with readable(self.path):
                    frame = next(self._frames, None)
                if frame is None:
                    raise ClipError(
                        f"{self.path} cannot be decoded at frame {self._next} of {self._index.count}; "
                        "`ffmpeg -i IN -c:v ffv1 -c:a copy OUT.mkv` shows where, and mends what can be"
                    )
                if frame.interlaced_frame:
                    raise ClipError(
                        f"{self.path} is interlaced (frame {self._next}); "
                        "`ffmpeg -i IN -vf bwdif -c:v ffv1 -c:a copy OUT.mkv` before"
                    )
                self._ring[self._next] = frame
                self._next += 1
                if len(self._ring) > self._kept:
                    self._ring.popitem(last=False)
            return self._ring[n]

    def _decode(self, start: int) -> Iterator[av.VideoFrame]:
        """The frames from `start` on."""
        found = self._index
        if found.files:
            for file in found.files[start:]:
                with av.open(str(file)) as container:
                    yield next(container.decode(video=0))
            return
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            if start and found.keys:
                container.seek(max(key for key in found.keys if key <= found.times[start]), stream=stream)
            yield from in_order(container.decode(stream), found, start)

    def _look(self) -> Facts:
        frame, found = self.frame(0), self._index
        with readable(self.path), av.open(str(found.files[0] if found.files else self.path)) as container:
            stream = container.streams.video[0]
            rate = fraction(stream.average_rate or stream.guessed_rate) or Fraction(25)
            time_base = fraction(stream.time_base) or 1 / rate
            sar = fraction(stream.sample_aspect_ratio)
        times = found.times
        if not times:
            rate, time_base = (Fraction(25), Fraction(1, 25)) if found.files else (rate, 1 / rate)
            times = tuple(range(found.count))
        last = times[-1] - times[-2] if len(times) > 1 else max(1, round(1 / rate / time_base))
        layout = layout_of(frame.format.name)
        ranges: dict[int, bool] = {1: False, 2: True}
        return Facts(
            count=found.count,
            height=frame.height,
            width=frame.width,
            layout=layout,
            rate=rate,
            time_base=time_base,
            times=(*times, times[-1] + last),
            sar=sar,
            rotation=int(frame.rotation or 0),
            matrix=int(frame.colorspace),
            primaries=int(frame.color_primaries),
            transfer=int(frame.color_trc),
            full_range=True if layout.full_range else ranges.get(int(frame.color_range)),
            chroma_location=int(frame.chroma_location) - 1 if frame.chroma_location else None,
        )


def in_order(frames: Iterator[av.VideoFrame], found: Index, start: int) -> Iterator[av.VideoFrame]:
    """Those from number `start` on; what has a time that the index does not know is no frame."""
    if not found.times:
        for i, frame in enumerate(frames):
            if i >= start:
                yield frame
        return
    number = {time: n for n, time in enumerate(found.times)}
    for frame in frames:
        n = -1 if frame.pts is None else number.get(frame.pts, -1)
        if n > start:
            return  # frames are missing
        if n == start:
            yield frame
            start += 1


def fraction(value: Any) -> Fraction | None:
    """Of PyAV's own kind; None where there is none, or 0."""
    return Fraction(value.numerator, value.denominator) if value else None
