"""What has been measured: a folder for each case, clip and method, with its scores and some of its frames."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vs_vrt.video.footage import read_frames, write_png

from .clips import Frame
from .scores import Scores

PROTOCOL = 1  # of what is kept; whatever changes figures counts it up
FILE = "scores.json"
SHARED = "truth", "degraded"  # the same whatever is measured


@dataclass(frozen=True, kw_only=True)
class Result:
    """One method on one clip."""

    case: str
    clip: str
    method: str
    identity: dict[str, Any]  # what would make other figures if it were another
    setting: dict[str, Any]  # what was found best for the clip
    scores: Scores

    @property
    def is_network(self) -> bool:
        """Whether it was restored by a network, rather than by a classic method."""
        return "weights" in self.identity


@dataclass(frozen=True)
class Store:
    """Results below one folder."""

    folder: Path

    def place(self, case: str, clip: str, method: str) -> Path:
        """The folder of one result."""
        return self.folder / case / clip / method

    def has(self, case: str, clip: str, method: str, identity: dict[str, Any]) -> bool:
        """Whether it was measured, and of the same things."""
        file = self.place(case, clip, method) / FILE
        known = json.loads(file.read_text()) if file.is_file() else {}
        return known.get("protocol") == PROTOCOL and known["identity"] == json.loads(json.dumps(identity))

    def add(self, result: Result, kept: dict[int, Frame]) -> None:
        """Keeps a result, and frames of it under their numbers."""
        self.keep(result.case, result.clip, result.method, kept)
        place = self.place(result.case, result.clip, result.method)
        # Whole or not at all: a run may be stopped at any time.
        unfinished = place / f"{FILE}.unfinished"
        unfinished.write_text(json.dumps({"protocol": PROTOCOL} | asdict(result)))
        unfinished.replace(place / FILE)

    def keep(self, case: str, clip: str, method: str, frames: dict[int, Frame]) -> None:
        """Keeps frames under their numbers."""
        place = self.place(case, clip, method)
        place.mkdir(parents=True, exist_ok=True)
        for n, frame in frames.items():
            if not (place / f"{n}.png").is_file() or method not in SHARED:
                write_png(place / f"{n}.png", frame)

    def results(self) -> list[Result]:
        """All that is there; of a network, what was made with the weights that made something last."""
        found, last = [], {}
        for file in sorted(self.folder.glob(f"*/*/*/{FILE}"), key=lambda file: file.stat().st_mtime_ns):
            facts = json.loads(file.read_text())
            if facts.pop("protocol") == PROTOCOL:
                found.append(Result(**facts | {"scores": Scores(**facts["scores"])}))
                last[found[-1].case, found[-1].method] = found[-1].identity.get("weights")
        of_last = [each for each in found if each.identity.get("weights") == last[each.case, each.method]]
        return sorted(of_last, key=lambda each: (each.case, each.clip, each.method))

    def frame(self, case: str, clip: str, method: str, n: int) -> Frame | None:
        """A kept frame."""
        file = self.place(case, clip, method) / f"{n}.png"
        return next(read_frames(file)) if file.is_file() else None
