"""`vs-vrt train`: trains a small network of the task table on a folder of footage."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from vs_vrt.errors import VrtError


def train(
    data: Annotated[Path, typer.Option(help="Folder of video files and image folders to learn from.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; one that exists is continued.")],
    model: Annotated[str, typer.Option(help="A model of the task table.")] = "basicvsr-compact",
    iterations: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    seed: Annotated[int, typer.Option(help="Of the initial weights and of every batch.")] = 0,
    bf16: Annotated[bool, typer.Option(help="Convolve in bfloat16; about twice as fast where the CPU has it.")] = False,
) -> None:
    """Trains a model from scratch. OUT/weights.safetensors can be passed to core.vrt.Restore as weights=."""
    from rich.logging import RichHandler

    from vs_vrt.training.run import train_model

    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(show_path=False)])
    try:
        train_model(model, data, out, iterations=iterations, seed=seed, bf16=bf16)
    except VrtError as error:
        typer.echo(f"vrt: {error}", err=True)
        raise typer.Exit(1) from error
