import pytest
import torch
import torch.nn.functional as F

from tests.golden_vectors import error
from vs_vrt.ops import linear as module
from vs_vrt.ops.linear import linear


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 5, 7), (0, 7), (1, 1, 7)])
@pytest.mark.parametrize("biased", [False, True])
def test_equals_the_product(shape: tuple[int, ...], biased: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = torch.randn(shape), torch.randn(11, 7), torch.randn(11) if biased else None
    expected = x.double() @ weight.double().T + (0 if bias is None else bias.double())
    slow = linear(x.double(), weight.double(), None if bias is None else bias.double())
    monkeypatch.setattr(F, "linear", None)  # it is oneDNN that computes
    assert module.ONEDNN
    for found in (slow, linear(x, weight, bias)):
        assert found.shape == (*shape[:-1], 11)
        assert not found.numel() or error(found.double(), expected) < 1e-5


def test_odd_strides_are_read_as_they_are_meant() -> None:
    x, weight = torch.randn(7, 5, 4).permute(2, 1, 0)[:, ::2], torch.randn(7, 11).T
    assert error(linear(x, weight).double(), x.double() @ weight.double().T) < 1e-5


def test_gradients_and_narrow_numbers_take_the_usual_way() -> None:
    x, weight = torch.randn(3, 7, requires_grad=True), torch.randn(11, 7)
    linear(x, weight).sum().backward()
    assert x.grad is not None
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert linear(x, weight).dtype is torch.bfloat16
