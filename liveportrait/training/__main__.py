"""Train LivePortrait: `python -m liveportrait.training stage1 --help`; see docs/training_liveportrait.md."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from liveportrait.errors import PortraitError
from liveportrait.printing import checked_stdout
from liveportrait.process import settle_process


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(prog="python -m liveportrait.training", description="Train LivePortrait.")
    commands = top.add_subparsers(dest="command", required=True)
    stage1 = commands.add_parser("stage1", help="train F, M, W and G, or continue a run")
    add = stage1.add_argument
    add("--init", help="continue from this model: base, or a folder that export wrote")
    add("--perception", type=Path, default=Path("runs/perception.safetensors"), help="from `prepare.py perception`")
    add("--identity", type=Path, help="TorchScript face recognition network for L_faceid")
    add("--dry-run", action="store_true", help="only print time and memory of a step")
    stage2 = commands.add_parser("stage2", help="train S, R_eyes or R_lip, or the reader that the latter two need")
    add = stage2.add_argument
    add("part", choices=["reader", "stitching", "eyes", "lips"])
    add("--model", required=True, help="model whose F, M, W and G are frozen: base, or a folder that export wrote")
    add("--reader", type=Path, help="run of `stage2 reader`, for eyes and lips")
    for command in (stage1, stage2):
        _common(command)
    export = commands.add_parser("export", help="write a model as `--model` of talkinghead takes it")
    add = export.add_argument
    start = export.add_mutually_exclusive_group(required=True)
    start.add_argument("--run", type=Path, help="run of stage1")
    start.add_argument("--model", help="model that keeps its F, M, W and G: base, or a folder")
    add("--with", dest="parts", action="append", type=Path, default=[], help="run of a part of stage2; repeatable")
    add("--output", type=Path, required=True, help="folder to write; must not exist yet")
    return top


def _common(command: argparse.ArgumentParser) -> None:
    """Add the options that all trainings have."""
    add = command.add_argument
    add("--faces", type=Path, default=Path("faces"), help="folder that `prepare.py faces` wrote (default: faces)")
    add("--run", type=Path, required=True, help="folder for checkpoint and log; continued if it exists")
    add("--preset", choices=["cpu", "gpu"], default="cpu", help="settings for this kind of machine (default: cpu)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting of the preset; repeatable")
    add("--weights", type=Path, help="YAML file with the weights of all losses")
    add("--any-licence", action="store_true", help="also learn from clips that may not train published weights")
    add("--every", type=int, default=250, help="steps between validations and checkpoints (default: 250)")
    add("--tensorboard", action="store_true", help="also write figures and pictures to RUN/tensorboard")
    add("--minutes", type=float, default=math.inf, help="stop, resumably, after this time")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user error ends in one line and exit code 1."""
    with checked_stdout():
        _run(arguments)


def _run(arguments: Sequence[str] | None) -> None:
    options = parser().parse_args(arguments)
    from liveportrait.training.stage1 import command as stage1
    from liveportrait.training.stage2 import command as stage2

    try:
        {"stage1": stage1.train, "stage2": stage2.train, "export": stage2.export}[options.command](options)
    except PortraitError as error:
        sys.exit(f"talkinghead: {error}")


if __name__ == "__main__":
    settle_process(training=True)
    main()
