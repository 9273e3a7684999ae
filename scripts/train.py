"""Train models: see docs/training.md."""

from talkinghead.cli.tools import run_app
from talkinghead.training.commands import app

if __name__ == "__main__":
    run_app(app)
