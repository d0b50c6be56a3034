"""Reads the arguments of a call, each check with its remedy."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

from vs_vrt.errors import ArgumentError

from .clip import MAX_SIDE

# VapourSynth's names for matrices that convert without knowing more than the matrix.
MATRICES = {"709": 1, "fcc": 4, "470bg": 5, "170m": 6, "240m": 7, "ycgco": 8, "2020ncl": 9}
PRECISIONS = ("fp32", "fp16", "bf16")
DEVICE = re.compile(r"[a-z]+(:\d+)?")
MAX_LENGTH = 1000
MAX_STREAMS = 16


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

    def devices(self) -> list[str | None]:
        """Names of devices, each to compute windows of its own; None is the best one. Raises `ArgumentError`."""
        names = [str(name) for name in self.all("device")]
        indices = self.all("device_index")
        if names and indices:
            raise ArgumentError('device and device_index say the same; `device="cuda:0"` alone')
        for index in indices:
            if index < 0:
                raise ArgumentError(f"device_index {index} is no number of a GPU; `device_index=0`")
        for name in names:
            if not DEVICE.fullmatch(name):
                raise ArgumentError(f'device {name!r} is no device; `device="cuda:0"` or `device="cpu"`')
        return [*names, *(f"cuda:{index}" for index in indices)] or [None]

    def sides(self, name: str, low: int) -> tuple[int, int] | None:
        """`name=[width, height]`, or one number for both; 0 has a meaning of its own. Raises `ArgumentError`."""
        values = self.all(name)
        if not values:
            return None
        if len(values) > 2:
            raise ArgumentError(
                f"{name} takes a width and a height, not {len(values)} numbers; `{name}=[{values[0]}, {values[1]}]`"
            )
        for value in values:
            if not low <= value <= MAX_SIDE and value != 0:
                raise ArgumentError(f"{name} {value} is out of range; `{name}={low}` to `{name}={MAX_SIDE}`")
        return int(values[0]), int(values[-1])

    def flag(self, name: str) -> bool:
        """True or False; False where it was not given. Raises `ArgumentError`."""
        return bool(self.integer(name, 0, 1, 0))

    def gibibytes(self, name: str) -> float | None:
        """A size of memory. Raises `ArgumentError`."""
        value = self.one(name)
        if value is not None and not value > 0:
            raise ArgumentError(f"{name} {value:g} is no size in GiB; `{name}=8`")
        return None if value is None else float(value)

    def threshold(self) -> float | None:
        """`sc_threshold`: None trusts scene properties and else detects, 0 is off. Raises `ArgumentError`."""
        value = self.one("sc_threshold")
        if value is not None and not 0 <= value <= 1:
            raise ArgumentError(f"sc_threshold {value:g} is out of range; `sc_threshold=0` (off) to `sc_threshold=1`")
        return None if value is None else float(value)
