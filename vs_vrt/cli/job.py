"""A file restored into another one, a segment after the other."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from vs_vrt.cli.journal import Journal, mark
from vs_vrt.errors import ArgumentError
from vs_vrt.filters.chain import Call, chain, converted, told
from vs_vrt.video.encoder import SMALLEST, Encoding, Segment, layout_for, writable
from vs_vrt.video.muxer import check, join
from vs_vrt.video.reader import Facts, Reader

LEAST = 96  # frames of a segment at least: each begins with a key frame


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be made of what."""

    source: Path
    out: Path
    calls: Sequence[Call]
    codec: str | None = None  # None: what suits the container and the depth
    options: Mapping[str, str] = field(default_factory=dict)  # the encoder's
    copies: bool = True  # sound, subtitles, chapters and attachments
    resume: bool = False
    overwrite: bool = False


class Watcher(Protocol):
    """Is told how a job goes."""

    def begins(self, job: Job, summaries: Sequence[str], frames: int, done: int) -> None:
        """Before the first frame: the plans, how many frames there will be, and how many an earlier run finished."""

    def frame(self, n: int) -> None:
        """A frame is made."""

    def joins(self) -> None:
        """All are made, the file is put together."""


def run(job: Job, watcher: Watcher, asked: Event) -> bool:
    """Whether it was finished, or was asked to stop. Raises `VrtError`."""
    check_places(job)
    with told(), writable(job.out):
        return run_checked(job, watcher, asked)


def run_checked(job: Job, watcher: Watcher, asked: Event) -> bool:
    """The same, where files and folders are what they should be."""
    reader = Reader(job.source)
    node, plans = chain(reader, job.calls)
    factor = 1
    for call in job.calls:
        factor *= call.factor
    encoding = encoding_of(job, reader.facts, node, factor)
    node = converted(node, encoding.layout, encoding.matrix)
    times = stretched(reader.facts.times, factor)
    length = max(plan["length"][-1] for plan in plans)
    step = length * factor * -(-LEAST // (length * factor))
    facts = {
        "source": mark(job.source),
        "tasks": [str(call) for call in job.calls],
        "plan": [argument for plan in plans for argument in plan["arguments"]],
        "encoder": f"{encoding.codec} {dict(encoding.options)} {encoding.layout.name}",
        "version": version("vs-vrt"),
        "torch": version("torch"),
    }
    check(encoding, job.source, job.out, reader.facts.rotation, job.copies)
    journal = Journal(job.out, facts, job.resume, job.overwrite)
    watcher.begins(job, [line for plan in plans for line in plan["summary"]], len(node), journal.frames)
    requests = max(request for plan in plans for request in plan["requests"])
    if not write(node, encoding, times, journal, step, requests, watcher, asked):
        return False
    watcher.joins()
    join(journal.paths, encoding, times, job.source, job.out, reader.facts.rotation, job.copies)
    journal.remove()
    return True


def check_places(job: Job) -> None:
    """Raises `ArgumentError` where a file would be lost, or nothing could be written."""
    if not job.source.exists():
        raise ArgumentError(f"{job.source} does not exist; `ls {job.source.parent}`")
    if job.out.exists() and job.out.samefile(job.source):
        raise ArgumentError(f"{job.out} is the source itself; `{job.out.with_stem(job.out.stem + '.restored')}`")
    if job.out.exists() and not job.overwrite:
        raise ArgumentError(f"{job.out} exists; `--overwrite` replaces it once the new one is complete")
    if not job.out.parent.is_dir():
        raise ArgumentError(f"{job.out.parent} is no folder; `mkdir -p {job.out.parent}`")
    if job.out.is_dir() or not os.access(job.out.parent, os.W_OK):
        raise ArgumentError(f"{job.out} cannot be written; `another folder, or another name`")


def encoding_of(job: Job, facts: Facts, node: Any, factor: int) -> Encoding:
    """By default what most players take: H.264 for 8 bits, H.265 for more, VP9 in WebM."""
    codec = job.codec
    if codec is None:
        is_small = min(node.width, node.height) < SMALLEST
        codec = "libx264" if facts.layout.bits == 8 or is_small else "libx265"
        codec = "libvpx-vp9" if job.out.suffix == ".webm" else codec
    layout = layout_for(codec, facts.layout)
    becomes_yuv = facts.layout.family == "rgb" and layout.family == "yuv"
    defaults = {"libx264": {"crf": "16"}, "libx265": {"crf": "16", "x265-params": "log-level=error"}}
    defaults["libvpx-vp9"] = {"crf": "20", "b": "0"}
    return Encoding(
        codec=codec,
        options=defaults.get(codec, {}) | dict(job.options),
        layout=layout,
        height=node.height,
        width=node.width,
        rate=facts.rate * factor,
        time_base=facts.time_base / factor,
        sar=facts.sar,
        matrix=1 if becomes_yuv else facts.matrix,
        primaries=facts.primaries,
        transfer=facts.transfer,
        full_range=False if becomes_yuv else facts.full_range,
        chroma_location=facts.chroma_location,
    )


def stretched(times: Sequence[int], factor: int) -> list[int]:
    """In a time base that is as much finer, with frames at equal distances between those there are."""
    made = [start * factor + n * (end - start) for start, end in pairwise(times) for n in range(factor)]
    return [*made, times[-1] * factor]


def write(
    node: Any,
    encoding: Encoding,
    times: Sequence[int],
    journal: Journal,
    step: int,
    requests: int,
    watcher: Watcher,
    asked: Event,
) -> bool:
    """Makes the segments that are missing; whether all of them are made."""
    import numpy as np

    done = journal.frames
    if done == len(node):
        return True
    with closing(node[done:].frames(prefetch=requests, close=True)) as frames:
        for start in range(done, len(node), step):
            path, stop = journal.next(), min(start + step, len(node))
            with Segment(path, encoding) as segment:
                for n in range(start, stop):
                    if asked.is_set():
                        return False
                    frame = next(frames)
                    segment.write([np.asarray(frame[plane]) for plane in range(len(frame))], times[n] - times[0])
                    watcher.frame(n)
            journal.finish(path, stop - start)
    return True
