import pytest

from tests.kernels import cuda_on_cpu
from vs_vrt import cpu
from vs_vrt.ops import deform_conv, deform_warp, flow_warp, geglu

REFERENCES = (
    (flow_warp, "flow_warp_reference"),
    (flow_warp, "flow_warp_nearest4_reference"),
    (deform_conv, "deform_conv_reference"),
    (deform_warp, "deform_warp_reference"),
    (geglu, "geglu_reference"),
)
WITHOUT_ONE_ON_CPUS = ("flow_warp_nearest4_reference", "deform_warp_reference", "geglu_reference")


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("the reference ran in place of the kernel")


@pytest.fixture(params=["cpu", "cuda", "reference"])
def _each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test with the CPU's kernels, with the GPU's as C++, each with nothing else, and with plain torch."""
    if request.param == "reference":
        monkeypatch.setenv("VS_VRT_KERNELS", "off")
        return
    if request.param == "cpu":
        assert cpu.library() is not None
    else:
        cuda_on_cpu.replace(monkeypatch)
    for module, name in REFERENCES:
        if request.param == "cuda" or name not in WITHOUT_ONE_ON_CPUS:
            monkeypatch.setattr(module, name, refuse)
