"""Small files to restore."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.support import moving_texture

BASE = Fraction(1, 600)
SUBTITLE = b"1\n00:00:00,100 --> 00:00:00,900\nthe same\n"


def write(
    path: Path,
    frames: int = 12,
    pix_fmt: str = "yuv420p",
    times: Sequence[int] | None = None,
    sound: bool = False,
    options: dict[str, str] | None = None,
    codec: str = "ffv1",
    **facts: Any,
) -> Path:
    """A lossless clip of 48x32 with frames at times of 1/600 s; `facts` are the codec context's."""
    video = np.rint(255 * moving_texture(3, frames, 48, 32)).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=24, options=options or {})
        context = stream.codec_context
        context.width, context.height, context.pix_fmt, context.time_base = 48, 32, pix_fmt, BASE
        stream.time_base = BASE
        for name, value in facts.items():
            setattr(context, name, value)
        audio: Any = container.add_stream("flac", rate=48000, layout="stereo") if sound else None
        for n, picture in enumerate(video):
            frame = av.VideoFrame.from_ndarray(picture.transpose(1, 2, 0).copy(), format="rgb24").reformat(
                format=pix_fmt
            )
            frame.pts, frame.time_base = times[n] if times else 25 * n, BASE
            container.mux(stream.encode(frame))
        if audio:
            noise = np.random.default_rng(0).integers(-9999, 9999, (1, 2 * 24000), dtype=np.int16)
            samples = av.AudioFrame.from_ndarray(noise, format="s16", layout="stereo")
            samples.sample_rate, samples.pts = 48000, 0
            container.mux(audio.encode(samples))
            container.mux(audio.encode(None))
        container.mux(stream.encode(None))
    return path


def pictures(path: Path) -> list[NDArray[Any]]:
    """Frames as they are decoded, in their own format."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def times(path: Path) -> list[Fraction]:
    """Of frames, in seconds."""
    with av.open(str(path)) as container:
        found: Any = container.decode(video=0)
        return [frame.pts * Fraction(frame.time_base.numerator, frame.time_base.denominator) for frame in found]


def sound(path: Path) -> list[bytes]:
    """Packets of the sound."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
