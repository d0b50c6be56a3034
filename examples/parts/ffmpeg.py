"""The right-hand side of the pipe."""

import shutil
from pathlib import Path

import vapoursynth as vs


def executable() -> str:
    """The ffmpeg on PATH, else the one that imageio-ffmpeg brings; one line and exit without either."""
    try:
        import imageio_ffmpeg

        return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise SystemExit("vrt: no ffmpeg found; `pip install imageio-ffmpeg`") from None


def encode(clip: vs.VideoNode, output: Path) -> list[str]:
    """The command that writes `output`, all but lossless; y4m names no matrix and range, so they are set."""
    full = clip.format.color_family != vs.RGB and int(clip.get_frame(0).props.get("_Range", 0))
    tags = f"h264_metadata=matrix_coefficients={int(vs.MATRIX_BT709)}:video_full_range_flag={int(full)}"
    x264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "8", "-bsf:v", tags]
    return [executable(), "-y", "-loglevel", "error", "-i", "-", *x264, str(output)]
