from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vs_vrt.errors import ClipError
from vs_vrt.video.footage import Codec, index, read_clip, read_frames, read_piece, recode, write_png


def write(file: Path, codec: str, frames: int = 12, **options: str) -> None:
    rng = np.random.default_rng(0)
    with av.open(str(file), "w", format="h264" if file.stem == "raw" else None) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for _ in range(frames):
            picture = rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("name", "codec", "tells_times"),
    [
        ("a.mp4", "libx264", True),
        ("a.mkv", "libx264", True),
        ("a.ts", "libx264", True),
        ("a.avi", "libx264", True),
        ("a.mov", "mpeg4", True),
        ("raw.ts", "libx264", False),  # packets without a container, whatever it is called
        ("a.y4m", "wrapped_avframe", True),
    ],
)
def test_pieces_of_all_containers_are_those_of_the_whole(
    tmp_path: Path, name: str, codec: str, tells_times: bool
) -> None:
    write(tmp_path / name, codec, **({"bf": "2", "g": "5"} if codec == "libx264" else {}))
    whole = np.stack(list(read_frames(tmp_path / name)))
    found = index(tmp_path / name)
    assert (found.count, found.size, bool(found.times)) == (12, (32, 48), tells_times)
    assert np.array_equal(read_clip(tmp_path / name, found), whole)
    for start in range(10):
        assert np.array_equal(read_piece(tmp_path / name, found, start, start + 3), whole[start : start + 3])


def test_a_piece_past_the_end_is_an_error(tmp_path: Path) -> None:
    write_png(tmp_path / "0.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ClipError, match=r"ends before its frame 3; `"):
        read_piece(tmp_path, index(tmp_path), 0, 3)


def test_a_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r"no\.mp4 cannot be read \(No such file or directory\); `"):
        list(read_frames(tmp_path / "no.mp4"))


def planes(t: int, h: int, w: int) -> NDArray[np.uint8]:
    """A ramp that moves, with flat colours."""
    row, column = np.mgrid[0:h, 0:w]
    y = np.stack([(60 + 2 * row + column + 3 * i) % 200 for i in range(t)])
    return np.concatenate([y, np.full((t, h // 2, w), 120)], axis=1).astype(np.uint8)


@pytest.mark.parametrize(("codec", "best", "worst"), [("jpeg", 2, 31), ("h264", 0, 51)])
def test_recoding_keeps_the_frames_and_loses_by_the_quantiser(codec: Codec, best: int, worst: int) -> None:
    given = planes(7, 34, 46 + 2)
    made = [recode(given, codec, quantiser).astype(int) for quantiser in (best, worst)]
    errors = [np.abs(each - given) for each in made]
    assert made[0].shape == given.shape
    assert errors[0].mean() < 1.5 < 2.5 < errors[1].mean()
    order = [int(np.abs(made[0] - frame.astype(int)).mean((1, 2)).argmin()) for frame in given]
    assert order == list(range(7))
    assert np.array_equal(recode(given, codec, best), made[0])
