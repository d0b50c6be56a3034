"""What is known of a clip before any frame of it."""

from dataclasses import dataclass

from vs_vrt.errors import ClipError

GRAY, RGB, YUV = 1, 2, 3
INTEGER, FLOAT = 0, 1
MAX_SIDE = 1 << 17


@dataclass(frozen=True)
class ClipFacts:
    """The fields of VSVideoInfo in the order in which the plugin passes them; 0 where frames differ."""

    width: int
    height: int
    num_frames: int
    fps_num: int
    fps_den: int
    color_family: int
    sample_type: int
    bits: int
    subsampling_w: int
    subsampling_h: int

    @property
    def format_id(self) -> int:
        """VapourSynth's number for the format."""
        return (
            self.color_family << 28
            | self.sample_type << 24
            | self.bits << 16
            | self.subsampling_w << 8
            | self.subsampling_h
        )


RGBS = ClipFacts(0, 0, 0, 0, 0, RGB, FLOAT, 32, 0, 0).format_id
RGBH = ClipFacts(0, 0, 0, 0, 0, RGB, FLOAT, 16, 0, 0).format_id
RGB48 = ClipFacts(0, 0, 0, 0, 0, RGB, INTEGER, 16, 0, 0).format_id


def check_size(clip: ClipFacts, scale: int) -> None:
    """Raises `ClipError` where the result would be larger than any frame can be."""
    if max(clip.width, clip.height) * scale > MAX_SIDE:
        raise ClipError(
            f"{clip.width}x{clip.height} times {scale} is more than {MAX_SIDE} pixels a side; "
            f"`clip.std.CropAbs({min(clip.width, MAX_SIDE // scale)}, {min(clip.height, MAX_SIDE // scale)})`"
        )


def check_clip(clip: ClipFacts) -> None:
    """Raises `ClipError` for what cannot be restored whatever the frames hold."""
    if not (clip.width and clip.height and clip.color_family):
        raise ClipError(
            "the clip changes its size or format midway; "
            "`clip.resize.Bicubic(width=1920, height=1080, format=vs.YUV420P8)` makes it constant"
        )
    if clip.sample_type == INTEGER and clip.bits > 16:
        raise ClipError(f"{clip.bits}-bit integer samples are not supported; make the clip with `format=vs.RGBS`")


def working_format(clip: ClipFacts) -> int:
    """The format in which frames come to windows: the clip's own where it is RGBS or RGBH, else RGBS."""
    return clip.format_id if clip.format_id in (RGBS, RGBH) else RGBS


def carrier_format(clip: ClipFacts) -> int:
    """The format in which restored frames wait: no wider than the clip's samples ask for."""
    if clip.sample_type == INTEGER:
        return RGB48
    return RGBS if clip.bits == 32 else RGBH


def sample_bytes(format_id: int) -> int:
    """Of one sample of a format of windows."""
    return 4 if format_id == RGBS else 2
