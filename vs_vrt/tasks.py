"""TASKS: every network that can be asked for. Data, no logic; the best of a task stands first."""

from types import MappingProxyType

from vs_vrt.task import TaskRow

TASKS = (
    TaskRow(
        task="sr4",
        model="basicvsr",
        architecture="basicvsr:BasicVSR",
        scale=4,
        length=30,
        overlap=5,
        half_safe=True,
        suits="clean footage that was downscaled by bicubic x4",
        license="Apache-2.0",
        checkpoint="basicvsr_reds4_20120409-0e599677.pth",
        url="https://download.openmmlab.com/mmediting/restorers/basicvsr/basicvsr_reds4_20120409-0e599677.pth",
    ),
    TaskRow(
        task="sr4",
        model="basicvsr-compact",
        architecture="basicvsr:BasicVSR",
        config=MappingProxyType(
            {
                "mid_channels": 32,
                "num_blocks": 5,
                "half_channels": 16,
                "tail_channels": 12,
                "flow_widths": (16, 16, 16, 8),
                "flow_kernel": 5,
            }
        ),
        scale=4,
        length=30,
        overlap=3,
        half_safe=True,
        suits="clean footage that was downscaled by bicubic x4; small enough for a laptop",
        license="MIT",
        checkpoint="basicvsr-compact.safetensors",
        bundled=True,
    ),
)
