"""Restores footage whose truth is known, and compares with classic methods.

    python -m benchmarks.quality FOLDER [--work FOLDER] [--task sr4] [--clip NAME] [--model NAME] [--weights FILE]

FOLDER holds video files and folders of images. `docs/quality.md` is the protocol; in short:

- truth: compressed sources are first reduced, so that their compression is not taken for detail: video files by 2,
  folders of JPEG images to 3/4; folders of PNG images stay as they are;
- cases: reduced by 4; Gaussian noise of sigma 10, 25 and 50; the mean of 5 neighbouring frames (cases.py);
- methods: every network of TASKS whose checkpoint is on this machine, through `core.vrt.Restore` (networks.py), and
  classic filters at the settings that are best for the clip (classic.py);
- measures: PSNR and SSIM of luma on frames rounded to 8 bits, flicker, and flicker of the error (scores.py).

What is measured is kept in the work folder, a file for each case, clip and method: a later run measures what is missing
or was made with other weights, then writes tables, plots and crops of all that is there.
"""

from .clips import SCALE, bicubic, to_array, truth

__all__ = ["SCALE", "bicubic", "to_array", "truth"]
