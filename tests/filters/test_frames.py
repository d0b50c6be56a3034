import gc

import numpy as np
import pytest
import torch
from vs_vrt.filters.frames import FrameMemory, Plane, frame_memory, read_video, write_frame

PADDED = 64  # bytes in a row, as VapourSynth aligns them


def plane(kind: str, width: int = 5, height: int = 3) -> Plane:
    """Rows of rising numbers, with padding that nobody may look at."""
    samples = np.full((height, PADDED // np.dtype(kind).itemsize), 99, dtype=kind)
    samples[:, :width] = np.arange(width * height).reshape(height, width)
    return memoryview(samples).cast("B"), width, height, PADDED, kind


@pytest.mark.parametrize("kind", ["u1", "u2", "f2", "f4"])
def test_an_array_over_a_plane_leaves_its_padding_out(kind: str) -> None:
    array = FrameMemory().array(plane(kind))
    assert array.dtype == np.dtype(kind)
    np.testing.assert_array_equal(array, np.arange(15).reshape(3, 5))


def test_a_video_is_read_as_a_float32_copy() -> None:
    planes = [plane("f2") for _ in range(4)]  # the fourth is alpha, which is no picture
    with frame_memory() as memory:
        video, strange = read_video(memory, [(planes, -1, -1, []), (planes, -1, -1, [])])
    assert strange == [0, 0]
    assert (video.shape, video.dtype) == ((2, 3, 3, 5), torch.float32)
    np.testing.assert_array_equal(video[1, 2], np.arange(15).reshape(3, 5))


@pytest.mark.parametrize("kind", ["f2", "f4"])
def test_a_frame_is_written_without_touching_the_padding(kind: str) -> None:
    planes = [plane(kind) for _ in range(3)]
    rows = np.frombuffer(planes[2][0].obj, dtype=kind).reshape(3, -1)
    frame = torch.arange(45.0).reshape(3, 3, 5) / 4
    with frame_memory() as memory:
        write_frame(memory, frame, planes)
    np.testing.assert_array_equal(rows[:, :5], frame[2])
    assert set(rows[:, 5:].flat) == {99}


@pytest.mark.parametrize("keep", [lambda array: array, lambda array: array[1:, 2:], torch.from_numpy])
def test_a_kept_view_of_frame_memory_is_found(keep: object) -> None:
    assert callable(keep)
    held = []
    with pytest.raises(RuntimeError, match="the engine kept 1 views of frame memory"), frame_memory() as memory:
        memory.array(plane("f4"))
        held.append(keep(memory.array(plane("f4"))))
    held.clear()
    gc.collect()
    assert memory.kept() == 0


def test_memory_that_nobody_keeps_is_given_up() -> None:
    lent = plane("f4")
    with frame_memory() as memory:
        memory.array(lent)
    with pytest.raises(ValueError, match="released"):
        lent[0].tobytes()


def test_an_error_inside_wins_over_a_kept_view() -> None:
    held = []
    with pytest.raises(KeyError), frame_memory() as memory:
        held.append(memory.array(plane("f4")))
        raise KeyError
