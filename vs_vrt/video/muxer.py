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
from vs_vrt.video.encoder import Encoding, add_stream, refuse_unusable

SUFFIXES = (".mkv", ".mp4", ".mov", ".m4v", ".webm")  # containers that keep an encoder's header beside its packets
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
    partial = partial_of(out)
    try:
        with ExitStack() as stack:
            target, video, others = begin(stack, partial, encoding, source, out, rotation, copies)
            for _, packet in heapq.merge(paced(segments, times, video), others, key=lambda each: each[0]):
                target.mux(packet)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def partial_of(out: Path) -> Path:
    """Where a file is until it is complete."""
    return out.with_name(f".{out.stem}.partial{out.suffix}")


def check(encoding: Encoding, source: Path, out: Path, rotation: int, copies: bool) -> None:
    """Raises `ArgumentError` where `join` would, before there is anything to join."""
    if out.suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"{out.name} is of no kind that is written; `{out.with_suffix('.mkv')}`")
    refuse_unusable(encoding)
    partial = partial_of(out)
    try:
        with ExitStack() as stack:
            begin(stack, partial, encoding, source, out, rotation, copies)[0].start_encoding()
    except av.FFmpegError as error:
        raise unholdable(out, error.strerror or "the container") from error
    finally:
        partial.unlink(missing_ok=True)


def begin(
    stack: ExitStack, partial: Path, encoding: Encoding, source: Path, out: Path, rotation: int, copies: bool
) -> tuple[Any, Any, Iterator[tuple[Fraction, Any]]]:
    """The container, its video stream, and the packets of all others. Raises `ArgumentError`."""
    target = stack.enter_context(av.open(str(partial), "w"))
    video = add_stream(target, encoding, threads=1)  # it encodes nothing, and says of itself what is so
    if rotation:
        video.set_display_rotation(rotation)
    if not copies or source.is_dir():
        return target, video, iter(())
    given = stack.enter_context(av.open(str(source)))
    video.metadata.update(given.streams.video[0].metadata)
    return target, video, copied(given, target, out)


def unholdable(out: Path, what: str) -> ArgumentError:
    """The error for what a container has no place for."""
    remedy = "--no-copy" if out.suffix == ".mkv" else f"{out.with_suffix('.mkv')}"
    return ArgumentError(f"{out.suffix} files cannot hold all of it ({what}); `{remedy}`")


def added(target: Any, template: Any, out: Path) -> Any:
    """A stream like another one. Raises `ArgumentError`."""
    try:
        return target.add_stream_from_template(template)
    except (ValueError, av.FFmpegError) as error:
        name = template.codec_context.name if template.codec_context else template.type
        raise unholdable(out, f"{name} {template.type}") from error


def paced(segments: Sequence[Path], times: Sequence[int], stream: Any) -> Iterator[tuple[Fraction, Any]]:
    """The packets of segments, and when each is decoded."""
    for packet, (shown, decoded, lasts) in zip(packets_of(segments), timing(segments, times), strict=True):
        packet.pts, packet.dts, packet.duration = shown, decoded, lasts
        packet.time_base = stream.codec_context.time_base
        packet.stream = stream
        yield decoded * packet.time_base, packet


def copied(given: Any, target: Any, out: Path) -> Iterator[tuple[Fraction, Any]]:
    """The packets of all other streams; what is not in packets is copied at once."""
    pictures = {each.index for each in given.streams.video[1:]}  # covers, and other cameras
    chosen = [each for each in given.streams if each.type in COPIED or each.index in pictures]
    streams = {each.index: added(target, each, out) for each in chosen}
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
        if packet.size:  # a cover's has no time
            last = max(last, (packet.dts or 0) * packet.time_base)
            packet.stream = streams[packet.stream_index]
            yield last, packet
