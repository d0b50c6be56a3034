"""Classic methods: resampling, sharpening and denoising without learning.

Settings are tried on some frames of the clip at hand and judged by its truth: each method is at its best, as nobody who
has no truth could set it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from typing import Any

import cv2
import numpy as np
from einops import rearrange
from numpy.typing import NDArray

from .clips import SCALE, Frames, array, source
from .ffmpeg import filtered

# Full-range BT.601: R, G, B to Y, Cb, Cr, in levels around 0, 128, 128. Noise of Y is what PSNR is measured on.
TO_YUV = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
CENTRE = np.array([0, 128, 128], np.float32)
WORDS = 257  # 16-bit steps of a level

type Setting = Mapping[str, Any]
type Levels = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Method:
    """`apply(frames, setting)`, `(n h w 3) -> (n h' w' 3)`.

    A method by plane gets Y, Cb and Cr instead, `(n 3 h w) -> (n 3 h w)`, and {"luma": setting, "chroma": setting}: the
    best is found for each.
    """

    name: str
    apply: Callable[[Any, Setting], Any]
    settings: tuple[Setting, ...] = ({},)
    trial: int = 3  # frames that settings are tried on
    temporal: bool = False  # looks at neighbours: settings are tried on a run of frames
    by_plane: bool = False
    pairs: int | None = None  # of neighbouring frames that are restored, where all would take too long

    def __call__(self, frames: Frames, setting: Setting) -> Frames:
        """`(n h w 3) -> (n h' w' 3)`, whatever `apply` works on."""
        return to_rgb(self.apply(to_yuv(frames), setting)) if self.by_plane else self.apply(frames, setting)


def grid(**values: Iterable[Any]) -> tuple[Setting, ...]:
    """All combinations."""
    return tuple(dict(zip(values, each, strict=True)) for each in product(*values.values()))


def tuned(method: Method, degraded: Frames, truth: Frames) -> Setting:
    """The best setting for a clip, by the square error of luma, and of chroma where that is set apart."""
    if len(method.settings) == 1:
        return method.settings[0]
    picks = trial_frames(len(truth), method)
    tries = degraded[picks]
    if method.by_plane:
        return tuned_by_plane(method, to_yuv(tries), to_yuv(truth[picks]))
    wanted = lumas(truth[picks])
    errors = [np.square(lumas(method(tries, setting)) - wanted).mean() for setting in method.settings]
    return method.settings[int(np.argmin(errors))]


def tuned_by_plane(method: Method, degraded: Levels, truth: Levels) -> Setting:
    """`(n 3 h w), (n 3 h w)`: the setting that is best for Y, and the one that is best for Cb and Cr together."""
    errors = []
    for setting in method.settings:
        made = method.apply(degraded, {"luma": setting, "chroma": setting})
        y, cb, cr = np.square(made - truth).mean(axis=(0, 2, 3))
        errors.append((y, cb + cr))
    luma, chroma = (method.settings[int(i)] for i in np.argmin(errors, axis=0))
    return {"luma": luma, "chroma": chroma}


def trial_frames(count: int, method: Method) -> list[int]:
    """Evenly over the clip, or in a row in its middle."""
    tried = min(count, method.trial)
    if method.temporal:
        return list(range((count - tried) // 2, (count - tried) // 2 + tried))
    return [(2 * i + 1) * count // (2 * tried) for i in range(tried)]


def lumas(frames: Frames) -> Levels:
    """`(n h w 3) -> (n h w)`: Y, not rounded."""
    return frames @ TO_YUV[0]


def to_yuv(frames: Frames) -> Levels:
    """`(n h w 3) -> (n 3 h w)`: Y, Cb, Cr, 0..255."""
    planes = [cv2.transform(frame.astype(np.float32), TO_YUV) + CENTRE for frame in frames]
    return rearrange(np.stack(planes), "n h w c -> n c h w")


def to_rgb(planes: Levels) -> Frames:
    """`(n 3 h w) -> (n h w 3)`, rounded and clipped to 8 bits."""
    back = np.linalg.inv(TO_YUV).astype(np.float32)
    frames = (rearrange(each, "c h w -> h w c") - CENTRE for each in planes)
    return np.stack([rounded(cv2.transform(np.ascontiguousarray(frame), back)) for frame in frames])


def rounded(levels: NDArray[Any]) -> Frames:
    """As 8 bits hold it."""
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def resampled(frames: Frames, setting: Setting) -> Frames:
    """By `SCALE`, with a kernel of VapourSynth's resizer; sharpened afterwards where the setting says so."""
    clip = source(frames)
    kernel = {key: value for key, value in setting.items() if key.startswith("filter_param")}
    larger = getattr(clip.resize, setting["kernel"])(clip.width * SCALE, clip.height * SCALE, **kernel)
    return sharpened(array(larger), setting) if "amount" in setting else array(larger)


def sharpened(frames: Frames, setting: Setting) -> Frames:
    """Unsharp mask: what a Gaussian of `radius` (its sigma, in pixels) takes away is added `amount` times."""
    found = np.empty_like(frames)
    for n, frame in enumerate(frames):
        levels = frame.astype(np.float32)
        soft = cv2.GaussianBlur(levels, (0, 0), setting["radius"])
        found[n] = rounded(levels + setting["amount"] * (levels - soft))
    return found


def hqdn3d(planes: Levels, setting: Setting) -> Levels:
    """The filter of ffmpeg along space and time, on 16 bits."""
    luma, chroma = setting["luma"], setting["chroma"]
    graph = f"hqdn3d={luma['space']}:{chroma['space']}:{luma['time']}:{chroma['time']}"
    words = np.clip(np.rint(planes * WORDS), 0, 65535).astype(np.uint16)
    return (filtered(graph, words) / np.float32(WORDS)).astype(np.float32)


def nlmeans(planes: Levels, setting: Setting) -> Levels:
    """The non-local means of ffmpeg, plane by plane: it takes 8 bits, and one strength for all planes it is given."""
    levels = rounded(planes)
    luma = filtered(nlmeans_graph(setting["luma"]), levels[:, :1])
    chroma = filtered(nlmeans_graph(setting["chroma"]), rearrange(levels[:, 1:], "n c h w -> (n c) 1 h w"))
    chroma = rearrange(chroma, "(n c) 1 h w -> n c h w", c=2)
    return np.concatenate([luma, chroma], axis=1).astype(np.float32)


def nlmeans_graph(setting: Setting) -> str:
    """Its options: strength, and the sides of patches and of the window that they are looked for in."""
    return f"nlmeans=s={setting['strength']}:p={setting['patch']}:r={setting['window']}"


def bm3d(frames: Frames, setting: Setting) -> Frames:
    """Colour BM3D of its authors, two passes, told the strength of the noise; frame by frame."""
    import bm3d as package
    from bm3d.profiles import BM3DProfile

    profile = BM3DProfile()
    profile.num_threads = 1  # the same result each time
    sigma = setting["sigma"] / 255
    return np.stack([rounded(255 * package.bm3d_rgb(frame / 255, sigma, profile)) for frame in frames])


RADII = 0.8, 1.2, 1.8, 2.7, 4.0
AMOUNTS = 0.2, 0.4, 0.7, 1.1, 1.6, 2.3
SHARPENERS = (
    Method(name="input", apply=lambda frames, _: frames),
    Method(name="unsharp", apply=sharpened, settings=grid(radius=RADII, amount=AMOUNTS)),
)
UPSAMPLERS = (
    # Either of the two that are called bicubic, by all frames.
    Method(
        name="bicubic",
        apply=resampled,
        settings=grid(kernel=("Bicubic",), filter_param_a=(0,), filter_param_b=(0.5, 0.75)),
        trial=10**9,
    ),
    Method(name="spline36", apply=resampled, settings=grid(kernel=("Spline36",))),
    Method(name="lanczos", apply=resampled, settings=grid(kernel=("Lanczos",), filter_param_a=(2, 3, 4, 6, 8))),
    Method(
        name="spline36-unsharp",
        apply=resampled,
        settings=grid(kernel=("Spline36",), radius=RADII, amount=AMOUNTS),
    ),
    Method(
        name="lanczos-unsharp",
        apply=resampled,
        settings=grid(kernel=("Lanczos",), filter_param_a=(3, 4, 6), radius=RADII[:4], amount=AMOUNTS),
    ),
)


def denoisers(sigma: int) -> tuple[Method, ...]:
    """Settings around what suits the strength of the noise."""
    strengths = [round(min(30, max(1, sigma * share)), 2) for share in (0.12, 0.18, 0.25, 0.35, 0.5)]
    spaces = [round(sigma * share, 2) for share in (0.5, 1, 1.4, 2, 2.8)]
    times = [round(sigma * share, 2) for share in (0, 0.5, 1, 2, 4)]
    found = (
        Method(name="input", apply=lambda frames, _: frames),
        Method(
            name="hqdn3d",
            apply=hqdn3d,
            settings=grid(space=spaces, time=times),
            trial=8,
            temporal=True,
            by_plane=True,
        ),
        Method(
            name="nlmeans",
            apply=nlmeans,
            settings=grid(strength=strengths, patch=(3, 7), window=(15,)),
            trial=1,
            by_plane=True,
            pairs=7,
        ),
    )
    if find_spec("bm3d") is None:
        return found
    return (*found, Method(name="bm3d", apply=bm3d, settings=grid(sigma=(sigma,)), pairs=1))
