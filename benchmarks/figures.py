"""What the plots of all benchmarks share. Nothing else needs matplotlib."""

from typing import Any


def pyplot() -> Any:
    """The pyplot of matplotlib, drawing into files that are the same bytes for the same figures.

    Raises `SystemExit` where matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("vrt: plots need matplotlib; `pip install -c constraints.txt -e '.[benchmarks]'`") from None
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "vs-vrt", "axes.grid": True, "grid.alpha": 0.3, "font.size": 9})
    import matplotlib.pyplot

    return matplotlib.pyplot
