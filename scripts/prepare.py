"""Prepare data to train on: see docs/data_format.md."""

from talkinghead.cli.tools import run_app
from talkinghead.dataset.commands import app

if __name__ == "__main__":
    run_app(app)
