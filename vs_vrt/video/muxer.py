"""Segments, and all of a file but its pictures, into one file."""

import heapq
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from vs_vrt.errors import ArgumentError
from vs_vrt.video.encoder import Encoding, add_stream

COPIED = {"audio", "subtitle", "data"}


def timing(segments: Sequence[Path], times: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """When each packet of segments is shown, decoded, and how long, for frames of those times.

    By their own encoders' reckoning segments would overlap: a packet is decoded as long before it is shown as any is.
    """
    shown: list[int] = []
    for path in segments:
        found = [packet.pts for packet in packets_of([path])]
        rank = {time: n for n, time in enumerate(sorted(found))}
        shown += [len(shown) + rank[time] for time in found]
    delay = max(i - n for i, n in enumerate(shown))
    step = times[1] - times[0] if len(times) > 1 else 1
    for i, n in enumerate(shown):
        decoded = times[i - delay] if i >= delay else times[0] - (delay - i) * step
        yield times[n], decoded, times[n + 1] - times[n]


def packets_of(segments: Sequence[Path]) -> Iterator[Any]:
    """In order."""
    for path in segments:
        with av.open(str(path)) as container:
            yield from (packet for packet in container.demux(video=0) if packet.size)


def join(
    segments: Sequence[Path],
    encoding: Encoding,
    times: Sequence[int],
    source: Path,
    out: Path,
    rotation: int,
    copies: bool,
) -> None:
    """Writes `out`: the segments, with a time for each frame and for the end.

    Where `copies` is true, with the source's sound, subtitles, chapters and attachments. The file is complete before it
    has its name. Raises `ArgumentError` where the container cannot hold them.
    """
    partial = out.with_name(f".{out.stem}.partial{out.suffix}")
    try:
        with ExitStack() as stack:
            target = stack.enter_context(av.open(str(partial), "w"))
            video = add_stream(target, encoding, threads=1)  # it encodes nothing, and says of itself what is so
            if rotation:
                video.set_display_rotation(rotation)
            flows = [paced(segments, times, video)]
            if copies and not source.is_dir():
                given = stack.enter_context(av.open(str(source)))
                video.metadata.update(given.streams.video[0].metadata)
                flows.append(copied(given, target, out))
            for _, packet in heapq.merge(*flows, key=lambda each: each[0]):
                target.mux(packet)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def added(target: Any, template: Any, out: Path) -> Any:
    """A stream like another one. Raises `ArgumentError`."""
    try:
        return target.add_stream_from_template(template)
    except (ValueError, av.FFmpegError) as error:
        name = template.codec_context.name if template.codec_context else template.type
        raise ArgumentError(
            f"{out.suffix} files cannot hold {name} {template.type}; `{out.with_suffix('.mkv')}` can"
        ) from error


def paced(segments: Sequence[Path], times: Sequence[int], stream: Any) -> Iterator[tuple[Fraction, Any]]:
    """The packets of segments, and when each is decoded."""
    for packet, (shown, decoded, lasts) in zip(packets_of(segments), timing(segments, times), strict=True):
        packet.pts, packet.dts, packet.duration = shown, decoded, lasts
        packet.time_base = stream.codec_context.time_base
        packet.stream = stream
        yield decoded * packet.time_base, packet


def copied(given: Any, target: Any, out: Path) -> Iterator[tuple[Fraction, Any]]:
    """The packets of all other streams; what is not in packets is copied at once."""
    streams = {each.index: added(target, each, out) for each in given.streams if each.type in COPIED}
    for index, stream in streams.items():
        stream.metadata.update(given.streams[index].metadata)
        stream.disposition = given.streams[index].disposition
    for each in given.streams:
        if each.type == "attachment":
            target.add_attachment(each.name or "attachment", each.mimetype or "application/octet-stream", each.data)
    target.metadata.update(given.metadata)
    target.set_chapters(given.chapters())
    return flowing(given, streams)


def flowing(given: Any, streams: dict[int, Any]) -> Iterator[tuple[Fraction, Any]]:
    """Those packets, as they lie in the file."""
    last = Fraction(0)
    for packet in given.demux(*(given.streams[index] for index in streams)) if streams else ():
        if packet.size and packet.dts is not None:
            last = max(last, packet.dts * packet.time_base)
            packet.stream = streams[packet.stream_index]
            yield last, packet
