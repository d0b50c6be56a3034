"""Reads the arguments of a call, each check with its remedy."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

from vs_vrt.errors import ArgumentError

# VapourSynth's names for matrices that convert without knowing more than the matrix.
MATRICES = {"709": 1, "fcc": 4, "470bg": 5, "170m": 6, "240m": 7, "ycgco": 8, "2020ncl": 9}
PRECISIONS = ("fp32", "fp16", "bf16")
DEVICE = re.compile(r"[a-z]+(:\d+)?")
MAX_LENGTH = 1000


class Arguments:
    """The arguments of one call, `{name: [values]}`; an absent one has no entry."""

    def __init__(self, values: dict[str, list[Any]]) -> None:
        self._values = values

    def one(self, name: str) -> Any:
        """The value, or None where it was not given."""
        values = self._values.get(name)
        return values[0] if values else None

    def all(self, name: str) -> list[Any]:
        """The values of an array argument."""
        return self._values.get(name, [])

    def given(self, name: str) -> bool:
        """Whether the call names the argument."""
        return name in self._values

    def replaced(self, **values: list[Any]) -> "Arguments":
        """The same call with other values; an argument without any counts as not given."""
        merged = self._values | values
        return Arguments({name: given for name, given in merged.items() if given})

    def choice(self, name: str, options: Iterable[str]) -> str | None:
        """One of `options`. Raises `ArgumentError`, with the nearest option if one is near."""
        value = self.one(name)
        known = sorted(set(options))
        if value is None or value in known:
            return value  # type: ignore[no-any-return]
        near = difflib.get_close_matches(value.lower().replace("++", "pp"), known, 1)
        hint = f'did you mean `{name}="{near[0]}"`?' if near else f"`{name}=` one of {', '.join(known)}"
        raise ArgumentError(f"unknown {name} {value!r}; {hint}")

    def integer(self, name: str, low: int, high: int, default: int) -> int:
        """A whole number within bounds. Raises `ArgumentError`."""
        value = self.one(name)
        if value is None:
            return default
        if not low <= value <= high:
            raise ArgumentError(f"{name} {value} is out of range; `{name}={low}` to `{name}={high}`")
        return int(value)

    def number(self, name: str, low: float, high: float, default: float) -> float:
        """A number within bounds. Raises `ArgumentError`."""
        value = self.one(name)
        if value is None:
            return default
        if not low <= value <= high:
            raise ArgumentError(f"{name} {value:g} is out of range; `{name}={low:g}` to `{name}={high:g}`")
        return float(value)

    def check_weights(self, networks: int) -> None:
        """Raises `ArgumentError` where `weights` has more files than there are networks."""
        files = self.all("weights")
        if len(files) > networks:
            used = ", ".join(f'"{file}"' for file in files[:networks])
            remedy = f"weights={used}" if networks == 1 else f"weights=[{used}]"
            raise ArgumentError(f"weights takes {networks} at most here, not {len(files)} files; `{remedy}`")

    def device(self) -> str | None:
        """The name of the device, or None for the best one. Raises `ArgumentError`."""
        names = self.all("device")
        if len(names) > 1:
            raise ArgumentError(f'device takes one device so far, not {len(names)}; `device="{names[0]}"`')
        if names and not DEVICE.fullmatch(names[0]):
            raise ArgumentError(f'device {names[0]!r} is no device; `device="cuda:0"` or `device="cpu"`')
        return names[0] if names else None

    def threshold(self) -> float | None:
        """`sc_threshold`: None trusts scene properties and else detects, 0 is off. Raises `ArgumentError`."""
        value = self.one("sc_threshold")
        if value is not None and not 0 <= value <= 1:
            raise ArgumentError(f"sc_threshold {value:g} is out of range; `sc_threshold=0` (off) to `sc_threshold=1`")
        return None if value is None else float(value)
