import pytest
import torch
from einops import rearrange
from torch import Tensor

from tests.golden_vectors import error, load
from vs_vrt.ops import window_attention as module
from vs_vrt.ops.window_attention import (
    Size,
    attention,
    fit_window,
    join_mask,
    relative_position_index,
    shifted_windows,
    sine_position_encoding,
)


@pytest.mark.parametrize("window", [(1, 4, 4), (2, 8, 8), (6, 4, 4), (8, 3, 5)])
def test_golden_relative_positions(window: Size) -> None:
    tensors, _ = load("comp_vrt_windows")
    expected = tensors["rel_index_" + "_".join(map(str, window))]
    assert torch.equal(relative_position_index(window).int(), expected.int())


@pytest.mark.parametrize("size", ["sine_3_5_feats10", "sine_4_4_feats12", "sine_8_8_feats48", "sine_8_8_feats60"])
def test_golden_sine_encoding(size: str) -> None:
    height, width, half = (int(part.removeprefix("feats")) for part in size.split("_")[1:])
    tensors, _ = load("comp_vrt_windows")
    assert error(sine_position_encoding(height, width, 2 * half), tensors[size]) < 1e-6


@pytest.mark.parametrize("name", ["6_8_4_ws644_ss020", "2_4_4_ws244_ss000", "4_8_8_ws244_ss122", "8_4_8_ws444_ss202"])
def test_golden_masks(name: str) -> None:
    """The mask of every window, in the order of the windows."""
    tensors, _ = load("comp_vrt_windows")
    t, h, w, window_name, shift_name = name.split("_")
    size, window, shift = (tuple(int(digit) for digit in text) for text in (t + h + w, window_name[2:], shift_name[2:]))
    assert len(size) == len(window) == len(shift) == 3
    found = []
    for block in torch.cartesian_prod(*(torch.arange(s // side) for s, side in zip(size, window, strict=True))):
        joins = tuple(
            bool(step and index == s // side - 1)
            for index, s, side, step in zip(block, size, window, shift, strict=True)
        )
        mask = join_mask(window, shift, joins, torch.device("cpu"))  # type: ignore[arg-type]
        n = window[0] * window[1] * window[2]
        found.append(torch.zeros(n, n) if mask is None else mask)
    assert torch.equal(torch.stack(found), tensors[f"mask_{name}"])


def test_golden_order_of_windows_and_tokens() -> None:
    tensors, _ = load("comp_vrt_windows")
    seen: list[Tensor] = []

    def look(windows: Tensor, mask: Tensor | None) -> Tensor:
        assert mask is None
        seen.append(windows)
        return windows

    video = tensors["wp_in"]
    assert torch.equal(shifted_windows(video, (2, 4, 3), (0, 0, 0), look), video)
    assert torch.equal(torch.cat(seen), tensors["wp_out_2_4_3"])


def dense(x: Tensor, window: Size, shift: Size) -> Tensor:
    """Every token against every token of the padded video, in float64, one head and no projections."""
    t, h, w = x.shape[1:4]
    pads = [-extent % side for extent, side in zip((t, h, w), window, strict=True)]
    padded = torch.zeros(x.shape[0], t + pads[0], h + pads[1], w + pads[2], x.shape[4], dtype=torch.float64)
    padded[:, :t, :h, :w] = x.double()
    sizes = padded.shape[1:4]
    places = torch.cartesian_prod(*(torch.arange(size) for size in sizes))
    moved = torch.stack([(places[:, a] - shift[a]) % sizes[a] for a in range(3)])
    blocks = torch.stack([moved[a] // window[a] for a in range(3)])
    # A token that the shift carried around an end is in another region than those that came straight.
    wrapped = torch.stack([places[:, a] < shift[a] for a in range(3)])
    same_window = (blocks[:, :, None] == blocks[:, None]).all(0)
    same_region = (wrapped[:, :, None] == wrapped[:, None]).all(0)
    tokens = rearrange(padded, "b t h w c -> b (t h w) c")
    scores = tokens @ tokens.transpose(1, 2) / x.shape[-1] ** 0.5 - 100.0 * ~same_region
    weights = scores.masked_fill(~same_window, float("-inf")).softmax(-1)
    result = rearrange(weights @ tokens, "b (t h w) c -> b t h w c", t=sizes[0], h=sizes[1])
    return result[:, :t, :h, :w]


def attend(windows: Tensor, mask: Tensor | None) -> Tensor:
    heads = windows[:, None]
    return attention(heads, heads, heads, None if mask is None else mask[None])


@pytest.mark.parametrize(
    ("size", "window", "shift"),
    [
        ((4, 8, 8), (2, 4, 4), (0, 0, 0)),
        ((4, 8, 8), (2, 4, 4), (1, 2, 2)),
        ((5, 7, 9), (2, 4, 4), (1, 2, 2)),
        ((3, 9, 5), (1, 4, 4), (0, 2, 2)),
        ((4, 4, 13), (4, 4, 4), (2, 2, 2)),
    ],
)
def test_equals_attention_over_everything(
    size: Size, window: Size, shift: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, *size, 6)
    window, shift = fit_window(size, window, shift)
    expected = dense(x, window, shift)
    assert error(shifted_windows(x, window, shift, attend).double(), expected) < 1e-5
    monkeypatch.setattr(module, "TOKENS", 1)  # window by window
    assert error(shifted_windows(x, window, shift, attend).double(), expected) < 1e-5
    monkeypatch.setattr(module, "MASKED", 0.0)
    assert not any(shift) or error(shifted_windows(x, window, shift, attend).double(), expected) > 1e-2


def test_an_axis_that_one_window_covers_is_not_shifted() -> None:
    assert fit_window((4, 4, 13), (6, 4, 4), (3, 2, 2)) == ((4, 4, 4), (0, 0, 2))


@pytest.mark.parametrize("channels", [5, 8, 20])
def test_heads_that_are_filled_up_give_the_same(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = torch.randn(3, 4, 2, 6, channels)
    bias = torch.randn(2, 6, 6)
    scores = torch.einsum("mgnd,mgkd->mgnk", q.double(), k.double()) / channels**0.5 + bias.double()
    expected = rearrange(scores.softmax(3) @ v.double(), "m g n d -> m n (g d)")
    monkeypatch.setattr(module, "ALIGNED", {"cpu": 8})
    assert error(attention(q, k, v, bias).double(), expected) < 1e-5
