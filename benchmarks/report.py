"""What was measured, for people."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table

COLUMNS = ("name", "input", "precision", "time", "GFLOP/s", "share", "GB/s", "share", "MB", "to reference", "to others")


def line(row: dict[str, Any]) -> str:
    """A row, as soon as it is there."""
    said = f"{name(row)}, {row['input']}, {row['precision']}"
    return f"{said}: {row['error']}" if "error" in row else f"{said}: {time(row['ours_seconds'])}"


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """The ceilings, then a table for each kind of row."""
    ceilings = found["ceilings"]
    tops = Table("what", "reached", title=found["machine"]["name"])
    tops.add_row("copy", f"{ceilings['bytes_per_second'] / 1e9:.4g} GB/s")
    for precision, rates in ceilings["flop_per_second"].items():
        for what, rate in rates.items():
            tops.add_row(f"{what}, {precision}", f"{rate / 1e9:.4g} GFLOP/s")
    yield tops
    for kind in ("operations", "networks", "plugin"):
        rows = [row for row in found[kind] if "error" not in row]
        if rows:
            table = Table(*COLUMNS, title=kind)
            for row in rows:
                table.add_row(*cells(row))
            yield table


def cells(row: dict[str, Any]) -> Iterator[str]:
    """In the order of COLUMNS."""
    yield from (name(row), row["input"], row["precision"])
    clip = "engine_share" in row
    yield f"{row['frames_per_second']:.3g} frames/s" if clip else time(row["ours_seconds"])
    for unit in ("flop", "bytes"):
        known = row.get(unit)
        yield f"{row[f'{unit}_per_second'] / 1e9:.3g}" if known else ""
        yield f"{row[f'{unit}_share']:.0%}" if known else ""
    yield f"{row['memory_bytes'] / 1e6:.0f}"
    yield f"{row['to_reference']:.2f}" if "to_reference" in row else ""
    others = {"published": "to_published", "torchvision": "to_torchvision"}
    said = [f"{other} {row[key]:.2f}" for other, key in others.items() if key in row]
    yield ", ".join([*said, f"engine {row['engine_share']:.0%}"] if clip else said)


def name(row: dict[str, Any]) -> str:
    """Of an operation or a model."""
    return str(row["operation"] if "operation" in row else row["model"])


def time(seconds: float) -> str:
    """In seconds, or milliseconds."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
