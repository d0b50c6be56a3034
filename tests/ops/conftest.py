import pytest

from tests.kernels import cuda_on_cpu
from tests.kernels.references import take_away
from vs_vrt import cpu

KERNELS_OF_CPUS = ("flow_warp_reference", "deform_conv_reference")  # the references of which they replace


@pytest.fixture(params=["cpu", "cuda", "reference"])
def _each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test with the CPU's kernels, with the GPU's as C++, each with nothing else, and with plain torch."""
    if request.param == "reference":
        monkeypatch.setenv("VS_VRT_KERNELS", "off")
    elif request.param == "cpu":
        assert cpu.library() is not None
        take_away(monkeypatch, KERNELS_OF_CPUS)
    else:
        cuda_on_cpu.replace(monkeypatch)
        take_away(monkeypatch)
