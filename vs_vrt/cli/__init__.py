"""The `vs-vrt` command, one file per sub-command."""

import typer

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Video restoration with VRT and the BasicVSR family."
)
