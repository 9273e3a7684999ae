"""Export the networks of an official model to ONNX, check the files and compare them with PyTorch.

python scripts/export_onnx.py base onnx/            # or "animals", or a directory
python scripts/export_onnx.py base onnx/ --opset 16
"""

from pathlib import Path
from typing import Annotated

import typer

from liveportrait import weights
from liveportrait.errors import WeightsError
from liveportrait.official import OfficialPortrait
from liveportrait.onnx_export import OPSET, check_graph, difference, export, graphs
from talkinghead.cli.tools import new_app, run_app

app = new_app(__doc__)


@app.command()
def export_onnx(
    name: Annotated[str, typer.Argument(help="base, animals or a directory.")],
    output: Annotated[Path, typer.Argument(help="Folder for the graphs.")],
    opset: Annotated[int, typer.Option(help="Operator set.", min=16, max=17)] = OPSET,
) -> None:
    """Export, check and compare."""
    model = weights.load(name)
    if not isinstance(model, OfficialPortrait):
        raise WeightsError(f"{name}: only the official models have these networks; give base or animals")
    for graph, path in zip(graphs(model), export(model, output, opset), strict=True):
        check_graph(path, opset)
        size, gap = path.stat().st_size / 1e6, difference(graph, path, frames=1)
        typer.echo(f"{path}  {size:8.1f} MB  differs from torch by {gap:.1e}")


if __name__ == "__main__":
    run_app(app)
