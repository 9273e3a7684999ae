"""Measure speed and memory of the networks, stage by stage."""

from talkinghead.cli.tools import run_app
from talkinghead.evaluation.benchmark.commands import app

if __name__ == "__main__":
    run_app(app)
