"""README's table of speed says what benchmarks/results says; `python -m benchmarks.readme` writes it anew."""

from benchmarks import readme


def test_the_table_of_speed_is_current() -> None:
    text = readme.README.read_text()
    table = text[text.index(readme.BEGIN) + len(readme.BEGIN) : text.index(readme.END)].strip()
    assert table == readme.text(readme.machines())


def test_precisions_and_machines_are_told_apart() -> None:
    rows = [
        {"model": "basicvsr", "input": "1x10x3x64x64", "precision": precision, "ours_seconds": seconds}
        | {"memory_bytes": 8e8, "to_published": 0.4}
        for precision, seconds in (("bf16", 0.5), ("fp32", 1.25))
    ]
    slow = {"machine": {"device": "cpu", "cpu": "Z80", "threads": 2}, "networks": rows, "plugin": []}
    failed = {"model": "mana", "input": "1x7x3x180x320", "precision": "fp32", "error": "OutOfMemory"}
    clip = {"model": "basicvsr", "input": "960x540", "precision": "fp16", "memory_bytes": 2e9, "engine_share": 0.9}
    fast = {"machine": {"device": "cuda", "gpu": {"name": "G1"}}, "networks": [failed]}
    fast["plugin"] = [clip | {"frames_per_second": 12.34}]
    assert readme.text([slow, fast]).splitlines() == [
        "| model | input | Z80, 2 threads: fp32 | bf16 | GB | of the published time | G1: fp32 | fp16 | GB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| `basicvsr` | clip, 960x540 |  |  |  |  |  | 12 frames/s | 2.0 |",
        "| `basicvsr` | 10x3x64x64 | 1.2 s | 0.5 s | 0.8 | 0.40 |  |  |  |",
    ]
    assert readme.text([slow]).endswith("\n\nNo GPU has been measured yet.")
