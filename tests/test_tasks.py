"""The task table: rows that cannot contradict each other, their networks or the files."""

import importlib
from dataclasses import FrozenInstanceError
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch

from tests import golden_vectors
from tests.golden_vectors import shapes
from tests.ops.test_blending import footage, means, tensor
from vs_vrt.checkpoint import BUNDLED
from vs_vrt.ops.blending import EXPOSURES, blended
from vs_vrt.restorer import build
from vs_vrt.state_dict import DISTANCES, key_hash
from vs_vrt.task import TaskRow
from vs_vrt.tasks import TASKS

each_row = pytest.mark.parametrize("row", TASKS, ids=lambda row: f"{row.task}-{row.model}")


def test_a_task_and_a_model_name_one_row() -> None:
    names = [(row.task, row.model) for row in TASKS]
    assert len(set(names)) == len(names)


def test_no_two_rows_share_a_file() -> None:
    assert len({row.checkpoint for row in TASKS}) == len(TASKS)


def test_what_is_bundled_stands_first_in_its_task() -> None:
    for task in {row.task for row in TASKS}:
        bundled = [row.bundled for row in TASKS if row.task == task]
        assert bundled == sorted(bundled, reverse=True)


def test_each_checkpoint_of_the_wheel_has_a_card() -> None:
    for row in TASKS:
        if row.bundled:
            card = (BUNDLED / row.checkpoint).with_suffix(".md").read_text()
            assert card.startswith(f"# {row.model}\n")
            for part in ("Figures", "Recipe", "Data", "Known failures"):
                assert f"\n## {part}\n" in card


def test_the_wheel_stays_small() -> None:
    sizes = [(BUNDLED / row.checkpoint).stat().st_size for row in TASKS if row.bundled]
    assert max(sizes) <= 6_000_000
    assert sum(sizes) <= 20_000_000


def test_the_wheel_has_what_the_table_says() -> None:
    assert {path.name for path in BUNDLED.glob("*.safetensors")} == {row.checkpoint for row in TASKS if row.bundled}


@each_row
def test_a_row_describes_a_network_that_can_be_built(row: TaskRow) -> None:
    module, name = row.architecture.split(":")
    network = getattr(importlib.import_module(f"vs_vrt.models.{module}"), name)
    network.config_type(**row.config)


# Of all that the published files hold, constants included.
PUBLISHED = {
    "vrt-reds-16": "a551fd071196aa4d8dbfc5d979460c4c3fd637dbc9c6af016713b91bb39e713e",
    "vrt-reds-6": "9377e3f1149a286ad3fa7105f0a039cb23abe8fc9981494031d2387edf5fb03a",
    "vrt-vimeo": "e2586e78962a5568e7f01e78f3edd108d844193b6517d57311891ff894f40078",
    "basicvsr": "07d9504ab91f442863f4ba892a2c580a9de1a9be440f35f956e70b64ea17d6fe",
    "iconvsr": "ee7b728c5fc8582c2c98c06da5cf7df17671011b7aeb4d5be9d839039b867e47",
    "iconvsr-vimeo": "b96b992340149f9f0660253994bcd921250380a67d7fef6a1056e2165c6ffa33",
    "basicvsrpp": "ba4acc83532210180ad52093756fb4c87338b9cd1b73eaead7d2842ae8796d98",
    "basicvsrpp-ntire": "a9edd6da228908a5259076bea9942dba85f08ba4c45e6d42ac3c73fba1ef5385",
    "realbasicvsr": "273d06d3a16f770e4459b285404c666c1fb66879929815abf4e3196d90c3fdb0",
    "mana": "7c94ba14571ceb716f51dc5503440bffaa07a29e85da4b0239a1344cd821f2d9",
    "vrt-gopro": "4eab3bf9fdcf6d1708185e5474139599d0446178bcfa9863e160dadd3d0002bb",
    "vrt-davis": "10a61f1f8fccf1cfbdf720959f7a8886deb1408ec6232fbd09cd75b1704f46f4",
    "basicvsrpp-gopro": "ac3d71ae0bfa2f97bfa3f9444873f330fd9666ea932bfb43899650054a9d2eb4",
    "basicvsrpp-track1": "975c3f20d71885f5cad6d5c6db96e7ad67408a973f8a7a6a511af5cc8c6947a8",
    "vrt-vfi": "a96278b61031ac8903a42cb28926a3e9cac202b340ac5790b11074550fbe80c6",
}


# Rows whose files have the same keys share a network, and building it takes its time.
@pytest.mark.parametrize("row", {row.keys: row for row in reversed(TASKS)}.values(), ids=lambda row: row.model)
def test_the_network_has_the_keys_and_shapes_of_its_checkpoint(row: TaskRow) -> None:
    with torch.device("meta"):
        network = build(row)
    assert key_hash(network.state_dict()) == row.keys
    held = shapes(network)
    if row.model == "mana":  # the file has the distances for the frames of its training, 64x64
        held[DISTANCES] = (64 * 64, 64 * 64)
    assert row.bundled or golden_vectors.key_hash(held) == PUBLISHED[row.model]


def test_rows_whose_files_have_the_same_keys_share_a_network() -> None:
    networks = {(row.keys, row.architecture, tuple(row.config.items())) for row in TASKS}
    assert len(networks) == len({row.keys for row in TASKS})


@each_row
def test_a_row_has_a_checkpoint_that_is_here_or_can_be_had(row: TaskRow) -> None:
    if row.bundled:
        assert row.checkpoint == f"{row.model}.safetensors"
        assert not row.url + row.page + row.sha256
    elif row.url:
        url = urlsplit(row.url)
        assert (url.scheme, url.path.rsplit("/")[-1]) == ("https", row.checkpoint)
        assert not row.page
    else:
        assert row.page.startswith("https://") or row.model == "mana"  # whose file was never published
    assert row.license
    assert row.suits


@each_row
def test_a_sum_is_that_of_the_file_name(row: TaskRow) -> None:
    digits = Path(row.checkpoint).stem.rpartition("-")[2]
    published = len(digits) == 8 and not row.bundled
    assert row.sha256 == (digits if published else "")
    int(row.sha256 or "0", 16)
    assert len(row.keys) == 64


@each_row
def test_a_window_holds_what_the_network_needs(row: TaskRow) -> None:
    assert row.min_size % row.multiple == 0
    if row.sharing == "blended":
        assert row.length >= row.num_frames + row.overlap
        assert row.length % row.config.get("window_size", (6, 8, 8))[0] == 0
    else:
        assert row.length + 2 * row.overlap >= row.num_frames
        assert row.length % row.stride == row.overlap % row.stride == 0  # windows begin to read where keyframes are


@each_row
def test_tiles_keep_to_the_grid_of_the_network(row: TaskRow) -> None:
    """VRT: attention windows at an eighth of the size; IconVSR and networks at a quarter: pixels there."""
    name, config = row.architecture.split(":")[1], row.config
    quarter = name in ("IconVSR", "BasicVSRHalf", "KalmanUNet") or not config.get("is_low_res_input", True)
    assert row.align == (8 * config.get("window_size", (6, 8, 8))[1] if name == "VRT" else 4 if quarter else 1)


@pytest.mark.parametrize("exposure", [3, 5])
def test_a_preview_sees_enough_frames_to_tell_whether_they_are_blended(exposure: int) -> None:
    row = next(row for row in TASKS if row.architecture.endswith("BasicVSRHalf"))
    frames = 2 * min(row.preview, row.overlap) + 1
    clean = footage(frames + exposure - 1, speed=3.0)
    assert blended(tensor(means(clean, exposure)))[0, EXPOSURES.index(exposure)] == 1


@each_row
def test_a_row_cannot_be_changed(row: TaskRow) -> None:
    with pytest.raises(FrozenInstanceError):
        row.scale = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        row.config["mid_channels"] = 1  # type: ignore[index]


@each_row
def test_a_row_says_what_its_network_takes(row: TaskRow) -> None:
    """For VRT as many frames as it warps, and eight windows a side; for IconVSR a key frame and what surrounds it."""
    name, config = row.architecture.split(":")[1], row.config
    facts = (row.gives, row.num_frames, row.multiple, row.min_size)
    if name == "VRT":
        window = config.get("window_size", (6, 8, 8))
        warped = config.get("pa_frames", 2)
        assert facts[2:] == (8, 8 * window[1])
        assert facts[:2] == (("every", 1 + warped // 2) if warped else ("between", config["num_frames"]))
    elif name == "IconVSR":
        assert facts == ("every", 2 * config.get("padding", 2) + 1, 1, 4)
    elif name == "MANA":
        assert facts == ("every", 1, 1, 1)
    else:
        quarter = name in ("BasicVSRHalf", "KalmanUNet") or not config.get("is_low_res_input", True)
        assert facts == ("every", 1, *((4, 64) if quarter else (1, 1)))
    assert row.scale == {"sr4": 4}.get(row.task, 1)
    assert (row.sigma is not None) == (name == "KalmanUNet" or config.get("nonblind_denoising", False))
