import torch

from tests.golden_vectors import error, load
from vs_vrt.models.blocks import PixelShufflePack, ResidualBlocksWithInputConv


def test_residual_blocks_golden() -> None:
    tensors, _ = load("comp_resblocks_with_input_conv")
    block = ResidualBlocksWithInputConv(7, 8, 2)
    block.load_state_dict({key[2:]: value for key, value in tensors.items() if key.startswith("w.")})
    with torch.no_grad():
        assert error(block(tensors["in.x"]), tensors["out.0"]) < 2e-5 * max(1, tensors["out.0"].abs().max())


def test_pixel_shuffle_golden() -> None:
    tensors, _ = load("comp_pixelshufflepack")
    block = PixelShufflePack(6, 5)
    block.load_state_dict({key[2:]: value for key, value in tensors.items() if key.startswith("w.")})
    with torch.no_grad():
        assert error(block(tensors["in.x"]), tensors["out.0"]) < 2e-5 * max(1, tensors["out.0"].abs().max())
