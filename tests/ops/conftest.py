import pytest

from vs_vrt import cpu
from vs_vrt.ops import deform_conv, flow_warp


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("the reference ran in place of the kernel")


@pytest.fixture(params=["kernel", "reference"])
def _each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test with the CPU's kernels, and nothing else, and with plain torch."""
    if request.param == "reference":
        monkeypatch.setenv("VS_VRT_KERNELS", "off")
        return
    assert cpu.library() is not None
    monkeypatch.setattr(flow_warp, "flow_warp_reference", refuse)
    monkeypatch.setattr(deform_conv, "deform_conv_reference", refuse)
