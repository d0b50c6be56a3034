import math

import pytest
import torch

from vs_vrt.ops.geglu import geglu


@pytest.mark.usefixtures("_each_way")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 300, 8)])
def test_equals_the_definition(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    gate, value = (
        (3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(dtype),
        torch.randn(shape).to(dtype),
    )
    expected = [
        0.5 * a * (1 + math.erf(a / 2**0.5)) * b
        for a, b in zip(gate.flatten().tolist(), value.flatten().tolist(), strict=True)
    ]
    tolerance = {torch.float32: 4e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}[dtype]
    found = geglu(gate, value).double().flatten()
    assert found.tolist() == pytest.approx(expected, rel=tolerance, abs=tolerance)


@pytest.mark.usefixtures("_each_way")
def test_odd_strides_are_read_as_they_are_meant() -> None:
    gate, value = torch.randn(6, 5).T, torch.randn(5, 12)[:, ::2]
    assert torch.allclose(geglu(gate, value), geglu(gate.contiguous(), value.contiguous()), atol=1e-6)
