"""The references that kernels have, and how a test takes them away."""

from collections.abc import Collection

import pytest

from vs_vrt.ops import deform_conv, deform_warp, flow_warp, geglu

REFERENCES = {
    "flow_warp_reference": flow_warp,
    "flow_warp_nearest4_reference": flow_warp,
    "deform_conv_reference": deform_conv,
    "deform_warp_reference": deform_warp,
    "geglu_reference": geglu,
}


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("the reference ran in place of the kernel")


def take_away(monkeypatch: pytest.MonkeyPatch, names: Collection[str] = tuple(REFERENCES)) -> None:
    """For a test, operations that would run them fail."""
    for name in names:
        monkeypatch.setattr(REFERENCES[name], name, refuse)
