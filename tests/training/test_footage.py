import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vs_vrt.errors import ArgumentError, ClipError
from vs_vrt.training.footage import Footage, StoredClip, augment, crop, path
from vs_vrt.video.footage import read_frames, write_png

SIZE = (24, 40)


def write_folder(folder: Path, frames: int, size: tuple[int, int] = SIZE, first: int = 0) -> None:
    """Every pixel tells its frame, row and column."""
    folder.mkdir(exist_ok=True)
    row, column = np.mgrid[0 : size[0], 0 : size[1]]
    for t in range(first, first + frames):
        write_png(folder / f"{t:02}.png", np.stack([0 * row + t, row, column], -1).astype(np.uint8))


def write_video(file: Path, frames: int) -> None:
    """H.264 with B-frames between key frames that are further apart than a piece is long."""
    rng = np.random.default_rng(0)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3", "g": "12", "crf": "10", "b-adapt": "0"})
        stream.height, stream.width, stream.pix_fmt, stream.time_base = 32, 48, "yuv420p", Fraction(1, 25)
        texture = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
        for t in range(frames):
            picture = np.ascontiguousarray(texture[t % 32 : t % 32 + 32, t : t + 48])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images, and a video file."""
    made = tmp_path_factory.mktemp("footage")
    write_folder(made / "images", 5)
    write_video(made / "video.mp4", 40)
    return made


@pytest.fixture
def images(tmp_path: Path) -> NDArray[np.uint8]:
    write_folder(tmp_path / "clip", 5)
    return np.stack(list(read_frames(tmp_path / "clip")))


def test_the_video_has_what_makes_seeking_hard(folder: Path) -> None:
    with av.open(str(folder / "video.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert [packet.pts for packet in packets] != sorted(packet.pts for packet in packets)
    assert 2 < sum(packet.is_keyframe for packet in packets) < 6


def test_pieces_are_the_same_from_memory_and_from_disk(folder: Path) -> None:
    memory, disk = Footage(folder), Footage(folder, share=0)
    assert all(isinstance(clip, np.ndarray) for clip in memory.clips)
    assert all(isinstance(clip, StoredClip) for clip in disk.clips)
    for seed in range(25):
        pieces = [each.piece(np.random.default_rng(seed), 7, (16, 24), 8) for each in (memory, disk)]
        assert pieces[0].tobytes() == pieces[1].tobytes()


@pytest.mark.parametrize("length", [1, 6])
@pytest.mark.parametrize("name", ["images", "video.mp4"])
def test_every_seek_is_exact(folder: Path, name: str, length: int) -> None:
    whole = np.stack(list(read_frames(folder / name)))
    stored = next(
        clip for clip in Footage(folder, share=0).clips if isinstance(clip, StoredClip) and clip.path.name == name
    )
    assert stored.shape == whole.shape
    for start in range(len(whole) - length + 1):
        assert np.array_equal(stored[start : start + length], whole[start : start + length]), start
    assert np.array_equal(stored[len(whole) // 2], whole[len(whole) // 2])


def test_seeking_decodes_no_more_than_from_the_key_frame_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = next(clip for clip in Footage(folder, share=0).clips if len(clip) == 40)
    monkeypatch.setattr("vs_vrt.video.footage.read_frames", lambda _: pytest.fail("decoded from the start"))
    assert len(stored[30:36]) == 6


def test_only_the_files_needed_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = next(clip for clip in Footage(folder, share=0).clips if len(clip) == 5)
    read = []
    monkeypatch.setattr("vs_vrt.video.footage.read_frames", lambda file: read.append(file.name) or read_frames(file))
    assert len(stored[2:4]) == 2
    assert read == ["02.png", "03.png"]


def test_a_piece_is_one_moving_place_over_neighbouring_frames(images: NDArray[np.uint8]) -> None:
    moved = 0
    for seed in range(40):
        piece = crop(images, 4, (8, 16), 8, np.random.default_rng(seed)).astype(int)
        assert piece.shape == (4, 8, 16, 3)
        assert (np.diff(piece[:, 0, 0, 0]) == 1).all()
        for channel, axis in ((1, 1), (2, 2)):
            assert (np.diff(piece[..., channel], axis=axis) == 1).all()
        moved += bool((np.diff(piece[:, 0, 0, 1:], axis=0) != 0).any())
    assert 15 < moved < 40  # three quarters: half of the pieces along each axis


def test_a_path_stays_inside_and_a_clip_without_room_is_taken_whole() -> None:
    ways = np.stack([path(30, 11, 8, np.random.default_rng(seed)) for seed in range(50)])
    assert (ways.min(), ways.max()) == (0, 11)
    assert not path(30, 0, 8, np.random.default_rng(0)).any()


@pytest.mark.parametrize("pan", [4, 40])
def test_a_camera_is_as_fast_as_it_may_be(pan: float) -> None:
    ways = np.stack([path(2, 10_000, pan, np.random.default_rng(seed)) for seed in range(400)])
    speeds = np.abs(np.diff(ways))
    assert 0.9 * pan < speeds.max() < pan + 4  # it shakes a little
    assert 0.4 < (speeds == 0).mean() < 0.65


def test_short_clips_are_played_back_and_forth(images: NDArray[np.uint8]) -> None:
    piece = crop(images, 12, (8, 8), 8, np.random.default_rng(0))
    assert piece[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 0, 1]


def test_augmentation_gives_each_of_its_images_alike() -> None:
    clip = np.arange(2 * 2 * 2, dtype=np.uint8).reshape(2, 2, 2, 1)
    seen = [augment(clip, np.random.default_rng(seed)).tobytes() for seed in range(320)]
    counts = [seen.count(each) for each in set(seen)]
    assert len(counts) == 8  # time, two mirrors
    assert min(counts) > 15


def test_half_of_the_pieces_lie_on_their_side(folder: Path) -> None:
    footage = Footage(folder)
    footage.use([clip for clip in footage.clips if clip.shape[1] == SIZE[0]])  # red is the frame, green the row
    pieces = [footage.piece(np.random.default_rng(seed), 1, (8, 16), 8)[0].astype(int) for seed in range(60)]
    assert {piece.shape for piece in pieces} == {(8, 16, 3)}
    upright = [bool((np.abs(np.diff(piece[..., 1], axis=0)) == 1).all()) for piece in pieces]
    assert upright != [(np.abs(np.diff(piece[..., 1], axis=1)) == 1).all() for piece in pieces]
    assert all(
        (np.abs(np.diff(piece[..., 1], axis=int(not up))) == 1).all() for piece, up in zip(pieces, upright, strict=True)
    )
    assert 15 < sum(upright) < 45


def test_each_frame_is_as_likely_as_any_other(tmp_path: Path) -> None:
    write_folder(tmp_path / "long", 9)
    write_folder(tmp_path / "short", 3, first=20)
    footage = Footage(tmp_path)
    frames = [footage.piece(np.random.default_rng(seed), 1, (8, 8), 8)[0, 0, 0, 0] for seed in range(600)]
    counts = np.unique(frames, return_counts=True)[1]
    assert len(counts) == 12
    assert abs(counts - 50).max() < 4 * 50**0.5


def test_a_folder_without_footage_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"holds no video files or image folders; `another folder`$"):
        Footage(tmp_path)


@pytest.mark.parametrize("share", [0, 0.25])
@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, share: float) -> None:
    (tmp_path / "broken.mp4").write_bytes(content)
    with pytest.raises(ClipError, match=r"broken\.mp4 cannot be read \([^\n]*\); `remove it, or get it again`$"):
        Footage(tmp_path, share)


@pytest.mark.parametrize("share", [0, 0.25])
def test_a_file_that_breaks_off_is_named(tmp_path: Path, share: float) -> None:
    write_folder(tmp_path / "clip", 2)
    (tmp_path / "clip" / "01.png").write_bytes((tmp_path / "clip" / "01.png").read_bytes()[:60])
    with pytest.raises(ClipError, match=r"01\.png cannot be read [^\n]*; `remove it, or get it again`$"):
        Footage(tmp_path, share).piece(np.random.default_rng(0), 2, (8, 8), 8)


def test_a_file_that_breaks_off_costs_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folder(tmp_path / "clip", 2)
    write_folder(tmp_path / "other", 2, first=20)
    (tmp_path / "clip" / "01.png").write_bytes((tmp_path / "clip" / "01.png").read_bytes()[:60])
    runs = [[Footage(tmp_path, 0).piece(np.random.default_rng(i), 2, (8, 8), 8) for i in range(9)] for _ in range(2)]
    assert np.array_equal(*runs)
    assert min(int(piece[..., 0].min()) for piece in runs[0]) == 20
    assert "01.png cannot be read" in caplog.text


def test_a_video_without_frames_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420jpeg\n")
    with pytest.raises(ClipError, match=r"empty\.y4m holds no frames; `remove it, or get it again`$"):
        Footage(tmp_path)


@pytest.mark.parametrize("share", [0, 0.25])
def test_frames_of_two_sizes_are_named(tmp_path: Path, share: float) -> None:
    write_folder(tmp_path / "clip", 2)
    write_folder(tmp_path / "clip", 2, (16, 32), first=2)
    with pytest.raises(ClipError, match=r"clip has frames of 40x24 and of 32x16; `make them one size`$"):
        Footage(tmp_path, share).piece(np.random.default_rng(0), 4, (8, 8), 8)


@pytest.mark.parametrize("share", [0, 0.25])
def test_clips_that_are_too_small_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture, share: float) -> None:
    write_folder(tmp_path / "large", 2)
    write_folder(tmp_path / "small", 6, (20, 40), first=10)
    footage = Footage(tmp_path, share)
    with caplog.at_level(logging.INFO):
        footage.check(SIZE[0])
    assert "left out 1 of 2 clips, which are smaller than crops of 24x24" in caplog.text
    assert {int(footage.piece(np.random.default_rng(seed), 1, (24, 24), 8).flat[0]) for seed in range(20)} <= {0, 1}
    with pytest.raises(ArgumentError, match=r"are smaller than the crops; `footage of 64x64 at least`$"):
        footage.check(64)
