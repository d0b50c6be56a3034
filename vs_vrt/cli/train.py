"""`vs-vrt train`: trains or fine-tunes a network of the task table on a folder of footage."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from vs_vrt.cli.ends import INTERRUPTED, errors_in_a_line, interruptible


def train(
    data: Annotated[Path, typer.Option(help="Folder of video files and image folders to learn from.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; one that exists is continued.", show_default="runs/MODEL"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A model of the task table.", show_default="that of the checkpoint, else basicvsr-compact"),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Checkpoint to fine-tune, or `published`: the model's own. Else from scratch."),
    ] = None,
    validate: Annotated[Path | None, typer.Option(help="Folder of footage to watch the run on.")] = None,
    degradation: Annotated[str | None, typer.Option(help="What is to be undone.", show_default="the recipe's")] = None,
    rate: Annotated[
        float | None, typer.Option(help="Learning rate, instead of the recipe's or, with --from, a tenth of that.")
    ] = None,
    factor: Annotated[float, typer.Option(help="Multiplies the recipe's iterations: 0.01 for a try.")] = 1.0,
    iterations: Annotated[
        int | None, typer.Option(help="In all: the recipe's last phase becomes longer or shorter.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Crops that a step learns from.", show_default="the recipe's")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the initial weights and of every batch.")] = 0,
    precision: Annotated[str, typer.Option(help="fp32, or bf16: faster where the device has it.")] = "fp32",
    device: Annotated[str | None, typer.Option(help="cpu or cuda.", show_default="cuda if there is one")] = None,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Compute features twice instead of keeping them in memory.")
    ] = False,
) -> None:
    """Trains a model. OUT/weights.safetensors can be passed to core.vrt.Restore as weights=."""
    from vs_vrt.training.run import Run, model_of
    from vs_vrt.training.run import train as train_run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    with errors_in_a_line():
        model = model or model_of(start)
        run = Run(
            model=model,
            data=data,
            out=out or Path("runs") / model,
            start=start,
            validate=validate,
            degradation=degradation,
            rate=rate,
            factor=factor,
            iterations=iterations,
            batch=batch,
            seed=seed,
            precision=precision,
            device=device,
            checkpointing=checkpointing,
        )
        with interruptible() as asked:
            if not train_run(run, asked):
                raise typer.Exit(INTERRUPTED)
