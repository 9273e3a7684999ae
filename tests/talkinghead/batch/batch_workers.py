"""Workers for tests, importable in the processes that they run in."""

import os
import signal

from fake_models import fake_models

from talkinghead.batch.work import Worker


class FakeWorker(Worker):
    """Has the networks' stand-ins loaded; counts in a file how often it was made."""

    def __init__(self, made=os.devnull):
        super().__init__()
        self._models = {("mini", "auto", "mini", "auto", "auto"): fake_models()}
        with open(made, "a") as file:
            file.write("worker\n")

    def run(self, job):
        """Die in the middle of a job that asks for it: the first time, or every time."""
        output = job.output
        died = output.with_suffix(".died")
        if "deadly" in output.name or ("fragile" in output.name and not died.exists()):
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(job)
