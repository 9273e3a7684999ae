"""Measure speed and memory of the networks, stage by stage."""

from talkinghead.host.process import settle_process

if __name__ == "__main__":
    settle_process()  # as the command line does, before torch is imported

    from talkinghead.cli.tools import run_app
    from talkinghead.evaluation.benchmark.commands import app

    run_app(app)
