"""The state of a run in its folder, and whether it is that of this run."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from vs_vrt.errors import ArgumentError
from vs_vrt.training.recipe import Phase, Recipe


def read_state(path: Path, device: torch.device, facts: Mapping[str, str], recipe: Recipe) -> dict[str, Any]:
    """What was saved. Raises `ArgumentError` where it is damaged, or that of a run with other facts or recipe."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
        other = difference(state, facts, recipe)
    except Exception as error:  # a damaged file makes torch raise nearly anything
        reason = (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0]
        raise ArgumentError(f"{path} cannot be read ({reason}); `--out` another folder") from error
    if other:
        raise ArgumentError(f"{path.parent} holds a run with another {other}; `--out` another folder")
    return state


def difference(state: Mapping[str, Any], facts: Mapping[str, str], recipe: Recipe) -> str | None:
    """In what a saved run was another one; its length may differ as long as that has changed nothing."""
    for name, fact in facts.items():
        if state["facts"][name] != fact:
            return name
    fields: dict[str, Any] = dict(state["recipe"])
    ours = asdict(recipe)
    changed = [name.replace("_", " ") for name in ours if name != "phases" and fields.get(name) != ours[name]]
    if changed:
        return ", ".join(changed)
    fields["phases"] = tuple(Phase(**phase) for phase in fields["phases"])
    return None if recipe.agrees(Recipe(**fields), state["iteration"]) else "number of iterations"
