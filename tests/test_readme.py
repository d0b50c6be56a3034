"""README's task table says what TASKS says; `python -m tests.test_readme` writes it anew."""

from pathlib import Path

from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- tasks: written by tests/test_readme.py -->", "<!-- /tasks -->"


def table() -> str:
    head = ("task", "model", "suits", "checkpoint", "licence")
    rows = [(f"`{row.task}`", f"`{row.model}`", row.suits, checkpoint(row), row.license) for row in TASKS]
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def checkpoint(row: TaskRow) -> str:
    if row.bundled:
        return "in the wheel"
    size = f"{row.size / 1e6:.0f} MB" if row.size else "file"
    if row.url:
        return f"[{size}]({row.url})"
    return f"[{size}, by hand]({row.page})" if row.page else "yours"


def test_the_task_table_is_current() -> None:
    text = README.read_text()
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip() == table()


if __name__ == "__main__":
    text = README.read_text()
    README.write_text(f"{text[: text.index(BEGIN)]}{BEGIN}\n\n{table()}\n\n{text[text.index(END) :]}")
