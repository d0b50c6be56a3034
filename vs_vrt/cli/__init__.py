"""The `vs-vrt` command, one file per sub-command."""

import typer

from vs_vrt.cli.restore import restore
from vs_vrt.cli.train import train
from vs_vrt.cli.weights import app as weights

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.command()(restore)
app.command()(train)
app.add_typer(weights, name="weights")


@app.callback()
def main() -> None:
    """Video restoration with VRT and the BasicVSR family."""
