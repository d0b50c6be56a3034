"""`vs-vrt restore`: the file that is made, and what happens when it is not."""

import json
import random
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import vapoursynth as vs
from typer.testing import CliRunner
from vapoursynth import core

from tests.cli.files import pictures, sound, times, write
from tests.support import check_grammar, moving_texture
from vs_vrt.cli import app, job
from vs_vrt.video.encoder import Segment
from vs_vrt.video.footage import write_png

LOSSLESS = ("--codec", "ffv1", "--task", "deblur:length=4,overlap=1")


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["restore", *map(str, arguments)])


def restored(source: Path, out: Path, *arguments: object) -> Path:
    result = invoke(source, out, "--quiet", *(arguments or LOSSLESS))
    assert result.exit_code == 0, (result.output, result.exception)
    assert sorted(path.name for path in out.parent.iterdir()) == sorted({source.name, out.name})
    return out


def refused(*arguments: object) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 1, (result.output, result.exception)
    assert result.output.count("\n") == 1
    text: str = result.output.strip()
    check_grammar(text)
    return text


def by_script(source: Path, format: int, task: str = "deblur", **arguments: Any) -> list[np.ndarray[Any, Any]]:
    """What a script makes of the same frames, one plane below the other."""
    shown = pictures(source)
    height = 32

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        made = f.copy()
        luma, chroma = shown[n][:height], shown[n][height:].reshape(2, height // 2, -1)
        for plane, samples in enumerate((luma, *chroma)):
            np.copyto(np.asarray(made[plane]), samples)
        made.props["_FieldBased"] = 0
        return made

    blank = core.std.BlankClip(format=format, width=48, height=32, length=len(shown), keep=True)
    clip = core.vrt.Restore(core.std.ModifyFrame(blank, blank, fill), task=task, **arguments)
    return [np.concatenate([np.asarray(plane).reshape(-1) for plane in frame]) for frame in clip.frames()]


@pytest.mark.parametrize(("pix_fmt", "format"), [("yuv420p", vs.YUV420P8), ("yuv420p10le", vs.YUV420P10)])
def test_the_file_has_what_a_script_makes(pix_fmt: str, format: int, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", pix_fmt=pix_fmt)
    made = pictures(restored(source, tmp_path / "out.mkv"))
    expected = by_script(source, format, length=4, overlap=1)
    assert len(made) == len(expected) == 12
    for found, wanted in zip(made, expected, strict=True):
        np.testing.assert_array_equal(found.reshape(-1), wanted)


def test_several_segments_are_one_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an encoder that shows frames in another order than it makes them."""
    source = write(tmp_path / "in.mkv", frames=30)
    arguments = (
        "--codec",
        "libx264",
        "--crf",
        1,
        "-e",
        "x264-params=b-adapt=0:bframes=3",
        "--task",
        "deblur:length=4,overlap=1",
    )
    monkeypatch.setattr(job, "LEAST", 8)
    out = restored(source, tmp_path / "out.mp4", *arguments)
    for found, wanted in zip(pictures(out), by_script(source, vs.YUV420P8, length=4, overlap=1), strict=True):
        assert np.abs(found.reshape(-1).astype(int) - wanted).mean() < 1
    assert times(out) == times(source)
    with av.open(str(out)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [0, 8, 16, 24]
    decoded = [packet.dts for packet in packets]
    assert decoded == sorted(set(decoded))
    assert any(packet.pts != packet.dts for packet in packets)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_keep_their_times_whatever_they_are(suffix: str, tmp_path: Path) -> None:
    uneven = [0, 20, 25, 70, 90, 100, 103, 110, 160, 161, 190, 240]
    source = write(tmp_path / f"in{suffix}", times=uneven, codec="libx264", options={"crf": "0"})
    out = restored(source, tmp_path / f"out{suffix}", "--task", "deblur")
    assert times(out) == times(source)
    if suffix == ".mp4":
        assert times(out) == [Fraction(n, 600) for n in uneven]


def test_new_frames_lie_halfway_between_those_there_were() -> None:
    assert job.stretched([0, 20, 30, 70], 2) == [0, 20, 40, 50, 60, 100, 140]
    assert job.stretched([-3, 0], 4) == [-12, -9, -6, -3, 0]


def test_the_sound_is_copied(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", sound=True)
    out = restored(source, tmp_path / "out.mkv")
    assert sound(out) == sound(source) != []
    out.unlink()
    restored(source, out, *LOSSLESS, "--no-copy")
    with av.open(str(out)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_colours_and_shape_of_pixels_are_kept(tmp_path: Path) -> None:
    facts = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    facts_of_shape = {"sample_aspect_ratio": Fraction(4, 3), "options": {"crf": "0"}, "codec": "libx264"}
    source = write(tmp_path / "in.mkv", pix_fmt="yuv420p10le", **facts_of_shape, **facts)
    out = restored(source, tmp_path / "out.mkv", "--task", "deblur")
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(video=0))
        assert {name: int(getattr(frame, name)) for name in facts if name != "color_trc"} == {
            name: value for name, value in facts.items() if name != "color_trc"
        }
        assert (frame.format.name, int(frame.color_trc)) == ("yuv420p10le", 16)
        assert stream.sample_aspect_ratio == Fraction(4, 3)


def test_a_folder_of_images_is_a_clip(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    video = np.rint(255 * moving_texture(3, 4, 48, 32)).astype(np.uint8).transpose(0, 2, 3, 1)
    for n, picture in enumerate(video):
        write_png(folder / f"{n}.png", picture)
    out = restored(folder, tmp_path / "out.mkv")
    assert times(out) == [Fraction(n, 25) for n in range(4)]
    made = pictures(out)
    assert made[0].shape[:2] == (32, 48)


def test_tasks_are_done_one_by_one(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", frames=3)
    out = restored(source, tmp_path / "out.mkv", "--codec", "ffv1", "--task", "denoise:sigma=5", "--task", "sr4")
    with av.open(str(out)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (192, 128)


def test_lines_of_json_tell_how_it_goes(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", frames=3)
    result = invoke(source, tmp_path / "out.mkv", "--json", *LOSSLESS)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["begins", *["frame"] * 3, "joins"]
    assert (lines[0]["frames"], lines[0]["done"]) == (3, 0)


# What cannot be


def test_what_cannot_be_is_told_in_a_line(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    assert "does not exist" in refused(tmp_path / "nothing.mkv", out)
    assert "is no folder" in refused(source, tmp_path / "nowhere" / "out.mkv")
    assert "is the source itself" in refused(source, source)
    assert "unknown task" in refused(source, out, "--task", "sr5")
    assert "unknown codec" in refused(source, out, "--codec", "h263000")
    assert "smaller than 64x64" in refused(source, out, "--task", "deblur", "--codec", "libx265")
    assert "has no option bogus" in refused(source, out, "-e", "bogus=1")
    assert "did you mean `-e preset=slow`?" in refused(source, out, "-e", "prest=slow")
    assert "is no KEY=VALUE" in refused(source, out, "-e", "crf")
    assert "sigma" in refused(source, out, "--task", "denoise:sigma=-5")
    (tmp_path / "text.mkv").write_text("no video")
    assert "cannot be read" in refused(tmp_path / "text.mkv", out)
    out.write_bytes(b"somebody's")
    assert "exists" in refused(source, out)
    assert out.read_bytes() == b"somebody's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.mkv", "text.mkv"]


def test_interlaced_frames_are_refused(tmp_path: Path) -> None:
    options = {"flags": "+ildct+ilme", "crf": "0", "x264-params": "interlaced=1:tff=1"}
    source = write(tmp_path / "in.mkv", codec="libx264", options=options)
    assert "interlaced" in refused(source, tmp_path / "out.mkv")


def test_alpha_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", pix_fmt="yuva420p")
    assert "alpha" in refused(source, tmp_path / "out.mkv")


# Beginning again

SCRIPT = """
import sys
from vs_vrt.cli import app, job
job.LEAST = 4
app(sys.argv[1:])
"""


def start(source: Path, out: Path, *arguments: str, errors: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", SCRIPT, "restore", str(source), str(out), "--quiet", *LOSSLESS, *arguments]
    return subprocess.Popen(command, stderr=errors)


def parts(out: Path) -> int:
    """Finished segments."""
    journal = out.with_name(f"{out.name}.parts") / "journal.json"
    return len(json.loads(journal.read_text())["segments"]) if journal.exists() else 0


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_run_goes_on_and_ends_with_the_same_frames(seed: int, tmp_path: Path) -> None:
    source, out, whole = write(tmp_path / "in.mkv", frames=60, sound=True), tmp_path / "out.mkv", tmp_path / "whole.mkv"
    assert start(source, whole).wait() == 0
    dice, kills = random.Random(seed), 0
    while kills < 2:
        before, process = parts(out), start(source, out, "--resume")
        while parts(out) <= before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(dice.random() * 0.2)
        process.kill()
        if process.wait() == 0:
            break
        kills += 1
    assert start(source, out, "--resume").wait() == 0
    assert kills
    for found, wanted in zip(pictures(out), pictures(whole), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert times(out) == times(whole)
    assert sound(out) == sound(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.mkv", "whole.mkv"]


def test_a_run_that_is_asked_to_stop_keeps_what_is_finished(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.mkv", frames=200), tmp_path / "out.mkv"
    process = start(source, out, errors=subprocess.PIPE)
    while not parts(out):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert b"--resume" in errors
    assert parts(out) >= 1
    assert not out.exists()
    assert "--resume" in refused(source, out, *LOSSLESS)
    assert "another" in refused(source, out, "--resume", "--codec", "ffv1", "--task", "deblur:length=5,overlap=1")
    source.write_bytes(source.read_bytes() + b"\0")
    assert "another source" in refused(source, out, "--resume", *LOSSLESS)


def test_a_damaged_segment_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "LEAST", 4)
    source, out = write(tmp_path / "in.mkv"), tmp_path / "out.mkv"

    def fail(*_: object) -> None:
        raise RuntimeError("the power went")

    with monkeypatch.context() as context:
        context.setattr(job, "join", fail)
        assert invoke(source, out, "--quiet", *LOSSLESS).exit_code == 1
    assert parts(out) == 3
    broken = out.with_name("out.mkv.parts") / "000001.nut"
    broken.write_bytes(broken.read_bytes()[:-9])
    restored(source, out, *LOSSLESS, "--resume")
    for found, wanted in zip(pictures(out), by_script(source, vs.YUV420P8, length=4, overlap=1), strict=True):
        np.testing.assert_array_equal(found.reshape(-1), wanted)


# What is easily lost


@pytest.mark.parametrize(
    ("pix_fmt", "codec"), [("yuv444p", "libx264"), ("gbrp", "libx264"), ("gray", "libx264"), ("yuv422p10le", "libx264")]
)
def test_colours_stay_what_they_are(pix_fmt: str, codec: str, tmp_path: Path) -> None:
    stored = "gbrp10le" if pix_fmt == "gbrp" else pix_fmt  # as FFV1 has no planes of 8 bits
    source = write(tmp_path / "in.mkv", frames=3, pix_fmt=stored)
    out = restored(source, tmp_path / "out.mkv", "--task", "deblur", "--codec", codec, "--crf", 4)

    def means(path: Path) -> Any:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
        kept = frame.format.name
        if pix_fmt == "gbrp":
            return kept, frame.reformat(format="rgb24", src_colorspace=1).to_ndarray().reshape(-1, 3).mean(0)
        planes = [np.frombuffer(plane, "u2" if "10" in kept else "u1") for plane in frame.planes]
        return kept, [
            each.reshape(plane.height, -1)[:, : plane.width].mean()
            for each, plane in zip(planes, frame.planes, strict=True)
        ]

    (_, before), (kept, after) = means(source), means(out)
    assert kept == {"gbrp": "yuv444p10le", "gray": "yuv420p"}.get(pix_fmt, pix_fmt)  # as H.264's decoder gives gray
    np.testing.assert_allclose(after[: len(before)], before, atol=8 if "10" in kept else 2)


def test_where_chroma_lies_is_kept(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.mp4", codec="libx264", options={"crf": "0", "x264-params": "chromaloc=2"}, color_range=1
    )
    out = restored(source, tmp_path / "out.mp4", "--task", "deblur")
    with av.open(str(source)) as before, av.open(str(out)) as after:
        places = [int(next(each.decode(video=0)).chroma_location) for each in (before, after)]
    assert places == [3, 3]


def test_a_cover_is_copied(tmp_path: Path) -> None:
    plain, source = write(tmp_path / "plain.mkv", codec="libx264", options={"crf": "0"}), tmp_path / "in.mp4"
    write_png(tmp_path / "cover.png", np.full((8, 8, 3), 99, dtype=np.uint8))
    with av.open(str(plain)) as one, av.open(str(tmp_path / "cover.png")) as two, av.open(str(source), "w") as both:
        streams = [both.add_stream_from_template(each.streams.video[0]) for each in (one, two)]
        streams[1].disposition = av.stream.Disposition.attached_pic
        for given, stream in zip((one, two), streams, strict=True):
            for packet in given.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    both.mux(packet)
    with av.open(str(source)) as container:
        assert len(container.streams.video) == 2
    plain.unlink()
    (tmp_path / "cover.png").unlink()
    out = restored(source, tmp_path / "out.mp4", "--task", "deblur")
    with av.open(str(out)) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "png"]
        assert container.streams[1].disposition & av.stream.Disposition.attached_pic


# What cannot be, before hours are spent on it


def test_containers_are_asked_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "write", lambda *_: pytest.fail("frames were made"))
    source = write(tmp_path / "in.mkv", sound=True)
    assert "cannot hold" in refused(source, tmp_path / "out.webm", "--codec", "libvpx-vp9")
    assert "of no kind" in refused(source, tmp_path / "out.foo")
    assert "of no kind" in refused(source, tmp_path / "out")
    assert "lie on a GPU" not in refused(source, tmp_path / "out.mkv", "--codec", "h264_nvenc")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "LEAST", 4)
    source, out = write(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    put = Segment.write

    def write_frame(segment: Segment, planes: Any, time: int) -> None:
        if time > 150:
            raise OSError(28, "No space left on device")
        put(segment, planes, time)

    with monkeypatch.context() as context:
        context.setattr(Segment, "write", write_frame)
        assert "No space left" in refused(source, out, "--quiet", *LOSSLESS)
    assert parts(out) == 1
    restored(source, out, *LOSSLESS, "--resume")


def test_files_of_others_stay(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    folder = tmp_path / "out.mkv.parts"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    assert invoke(source, out, "--quiet", "--overwrite", *LOSSLESS).exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
