"""Frames of the native plugin as arrays and tensors, and back."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .noise import Noise

if TYPE_CHECKING:
    from torch import Tensor

type Plane = tuple[memoryview, int, int, int, str]  # memory, width, height, stride in bytes, numpy's sample type
type Planes = list[Plane]  # R, G, B and, where the frame has one, alpha
# With _SceneChangePrev and _SceneChangeNext, -1 where absent, and the plane of the noise map, where there is one.
type InputFrame = tuple[Planes, int, int, Planes]
type Array = NDArray[Any]

PEAK = 65535  # windows travel in no other integer format than RGB48


class FrameMemory:
    """Arrays over the memory of frames, which VapourSynth takes back after the call: nobody may keep one."""

    def __init__(self) -> None:
        self.roots: list[weakref.ref[Array]] = []
        self.memory: list[memoryview] = []

    def array(self, plane: Plane) -> Array:
        """`(h w)`: a view of a plane; rows are padded in memory, so it need not be contiguous."""
        memory, width, height, stride, kind = plane
        root = np.frombuffer(memory, dtype=kind)
        self.roots.append(weakref.ref(root))
        self.memory.append(memory)
        return root.reshape(height, stride // root.itemsize)[:, :width]

    def kept(self) -> int:
        """How many arrays somebody still holds: a view keeps its root alive. Where nobody does, gives the memory up."""
        count = sum(root() is not None for root in self.roots)
        if not count:
            for memory in self.memory:
                memory.release()
        return count


@contextmanager
def frame_memory() -> Iterator[FrameMemory]:
    """Lends frame memory to its block; raises `RuntimeError` if the block kept a view of it."""
    memory = FrameMemory()
    yield memory
    kept = memory.kept()
    if kept:
        raise RuntimeError(f"the engine kept {kept} views of frame memory")


def read_video(memory: FrameMemory, frames: list[InputFrame], noise: Noise | None = None) -> tuple["Tensor", list[int]]:
    """`-> (t 3 h w), (t)`, with a noise level `(t 4 h w)`: a float32 copy, and how many samples were not finite.

    Those become 0. The channels are R, G, B, and the noise level over 255.
    """
    import torch

    _, width, height, _, _ = frames[0][0][0]
    video = np.zeros((len(frames), 4 if noise else 3, height, width), dtype=np.float32)
    strange = []
    for target, (planes, _, _, levels) in zip(video, frames, strict=True):
        for channel, plane in zip(target, planes[:3] + levels, strict=False):
            np.copyto(channel, memory.array(plane))
        if planes[0][4] == "u2":
            target[:3] /= PEAK
        # Before anything looks at the frames: what is no number would hide a scene cut.
        strange.append(target[:3].size - int(np.isfinite(target[:3]).sum()))
        np.nan_to_num(target, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    if noise:
        noise.normalise(video[:, 3])
    return torch.from_numpy(video), strange


def write_frame(memory: FrameMemory, frame: "Tensor", planes: Planes) -> None:
    """`(3 h w)`: into a frame's R, G and B planes. Integers hold 0 to 1, floats whatever comes."""
    import torch

    for channel, plane in zip(frame, planes[:3], strict=True):
        if plane[4] == "u2":
            channel = channel.clamp(0, 1).mul_(PEAK).round_()
        torch.from_numpy(memory.array(plane)).copy_(channel)


def scale_alpha(memory: FrameMemory, source: Plane, target: Plane) -> None:
    """`(h w) -> (H W)`: bicubic, in the plane's own sample type. Alpha is no picture: no network looks at it."""
    import torch
    import torch.nn.functional as F

    small, large = memory.array(source), memory.array(target)
    values = torch.from_numpy(small.astype(np.float64))[None, None]
    scaled = F.interpolate(values, size=large.shape, mode="bicubic", align_corners=False)[0, 0]
    # Bicubic overshoots; nothing may be more opaque or more transparent than its surroundings.
    result = scaled.clamp(values.min(), values.max()).numpy()
    np.copyto(large, np.rint(result) if large.dtype.kind == "u" else result, casting="unsafe")
