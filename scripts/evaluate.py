"""Measure how good the models are: see docs/model_card.md."""

from talkinghead.cli.tools import run_app
from talkinghead.evaluation.commands import app

if __name__ == "__main__":
    run_app(app)
