"""Writes README's table of speed, from the files of all machines in benchmarks/results.

python -m benchmarks.readme
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- speed: written by python -m benchmarks.readme -->", "<!-- /speed -->"
# What README has room for: kind, model and input.
SHOWN = (
    ("plugin", "basicvsr-compact", "320x180"),
    ("plugin", "denoise-compact", "320x180"),
    ("plugin", "deblur-compact", "320x180"),
    ("plugin", "basicvsr", "960x540"),
    ("networks", "basicvsr", "1x10x3x64x64"),
    ("networks", "basicvsrpp", "1x10x3x64x64"),
    ("networks", "vrt-reds-6", "1x6x3x64x64"),
    ("networks", "vrt-reds-6", "1x6x3x184x320"),
    ("networks", "mana", "1x7x3x180x320"),
)

type Found = Mapping[str, Any]


def machines(folder: Path = RESULTS) -> list[Found]:
    """What was measured on each, CPUs first; the folder has files of other benchmarks as well."""
    files = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    found = [each for each in files if isinstance(each, dict) and "machine" in each]
    return sorted(found, key=lambda each: each["machine"]["device"])


def text(found: Sequence[Found]) -> str:
    """The table, and what is to be said of it."""
    lines = [" | ".join(["model", "input", *chain.from_iterable(map(heads, found))])]
    lines.append(" | ".join(["---"] * (lines[0].count("|") + 1)))
    for kind, model, size in SHOWN:
        cells = list(chain.from_iterable(of_machine(each, kind, model, size) for each in found))
        if any(cells):
            shown = f"clip, {size}" if kind == "plugin" else size.removeprefix("1x")
            lines.append(" | ".join([f"`{model}`", shown, *cells]))
    table = "\n".join(f"| {each} |" for each in lines)
    is_gpu = any(each["machine"]["device"] == "cuda" for each in found)
    return table if is_gpu else f"{table}\n\nNo GPU has been measured yet."


def heads(found: Found) -> Iterator[str]:
    """Of the columns that `of_machine` fills."""
    machine = found["machine"]
    is_gpu = machine["device"] == "cuda"
    named = machine["gpu"]["name"] if is_gpu else f"{machine['cpu']}, {machine['threads']} threads"
    first, *others = precisions(found)
    yield from (f"{named}: {first}", *others)
    yield "GB"
    if not is_gpu:
        yield "of the published time"


def of_machine(found: Found, kind: str, model: str, size: str) -> Iterator[str]:
    """Speed in each precision, memory at most, and the share of what the authors' code takes in float32."""
    rows = {row["precision"]: row for row in found[kind] if (row["model"], row["input"]) == (model, size)}
    rows = {precision: row for precision, row in rows.items() if "error" not in row}
    yield from (speed(rows.get(precision)) for precision in precisions(found))
    yield f"{max(row['memory_bytes'] for row in rows.values()) / 1e9:.1f}" if rows else ""
    if found["machine"]["device"] != "cuda":
        share = rows.get("fp32", {}).get("to_published")
        yield f"{share:.2f}" if share else ""


def speed(row: Found | None) -> str:
    """Frames a second of a clip, else the seconds of a forward."""
    if row is None:
        return ""
    if "engine_share" in row:
        return f"{row['frames_per_second']:.2g} frames/s"
    return f"{row['ours_seconds']:.2g} s"


def precisions(found: Found) -> list[str]:
    """Those that anything was measured in, widest first."""
    used = {row["precision"] for kind in ("networks", "plugin") for row in found[kind]}
    return sorted(used, key=("fp32", "fp16", "bf16").index)


def main() -> None:
    """Writes it."""
    old = README.read_text()
    README.write_text(f"{old[: old.index(BEGIN)]}{BEGIN}\n\n{text(machines())}\n\n{old[old.index(END) :]}")


if __name__ == "__main__":
    main()
