"""Start a run, show how far it is, and show what came of it with the command and the Python that do the same."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

import talkinghead
from talkinghead.studio.call import Call
from talkinghead.studio.player import pair
from talkinghead.studio.runs import Outcome, Run
from talkinghead.studio.source import fault
from talkinghead.studio.studio import Studio
from talkinghead.wording import counted

_POLL_SECONDS = 0.25
SHOWN: Any = {"interactive": False, "wrap_lines": True, "show_line_numbers": False, "lines": 1, "buttons": ["copy"]}
CONSENT = "Only animate faces you may: your own, or those of people who have agreed. Results say that AI made them."

Prepare = Callable[[Path, Sequence[Any]], Call]
"""Makes a call of the values of a tab's components; may write files into the folder."""


class Result:
    """The lower half of a tab: buttons, progress, player, command and Python.

    Args:
        studio: The studio.
        inputs: The components whose values `prepare` takes.
        prepare: Makes the call.
        make: The text on the button.
        queue: The calls of the batch that the tab can add to, or None.
    """

    def __init__(
        self, studio: Studio, inputs: Sequence[Any], prepare: Prepare, make: str, queue: gr.State | None = None
    ) -> None:
        self._studio, self._prepare = studio, prepare
        gr.Markdown(CONSENT, elem_classes="consent")
        with gr.Row():
            self.make = gr.Button(make, variant="primary")
            self.cancel = gr.Button("Cancel", variant="stop", visible=False)
            if queue is not None:
                self.add = gr.Button("Add to the batch queue")
        self.status = gr.HTML(elem_classes="status")
        self.player = gr.HTML()
        with gr.Accordion("The same from the command line and in Python", open=True, visible=False) as self.taught:
            self.command = gr.Code(label="Command line", language="shell", **SHOWN)
            self.python = gr.Code(label="Python", language="python", **SHOWN)
        run = gr.State()
        outputs = [run, self.make, self.cancel, self.status, self.player, self.taught, self.command, self.python]
        self.make.click(self._run, list(inputs), outputs, concurrency_limit=None, show_progress="hidden")
        self.cancel.click(self._cancel, run, self.status, queue=False, show_progress="hidden")
        if queue is not None:
            self.add.click(self._add, [queue, *inputs], [queue, self.status], queue=False, show_progress="hidden")

    async def _run(self, request: gr.Request, *values: Any) -> AsyncIterator[Any]:
        """Make the video; yields what the page shows."""
        page = str(request.session_hash)
        folder = self._studio.runs.new_folder(page)
        try:
            call = await asyncio.to_thread(self._prepare, folder, values)
        except talkinghead.PortraitError as error:
            yield _idle(fault(self._studio.runs.line(error)))
            return
        run = self._studio.runs.start(page, [call], folder)
        shown = [gr.update(visible=True), gr.update(value=call.command_line()), gr.update(value=call.python())]
        yield [run, gr.update(visible=False), gr.update(visible=True), waiting(self._studio, run), "", *shown]
        async for text in followed(self._studio, run):
            yield [gr.skip()] * 3 + [text] + [gr.skip()] * 4
        if run.cancelled.is_set():
            yield _idle(told("Cancelled. Nothing was kept."))
            return
        (outcome,) = run.outcomes
        yield _idle(*shown_outcome(outcome))

    def _cancel(self, run: Run | None) -> str:
        if run is not None:
            self._studio.runs.cancel(run)
        return told("Cancelling")

    def _add(self, queue: list[Call], request: gr.Request, *values: Any) -> tuple[Any, str]:
        try:
            call = self._prepare(self._studio.runs.new_folder(str(request.session_hash)), values)
        except talkinghead.PortraitError as error:
            return gr.skip(), fault(self._studio.runs.line(error))
        count = len(queue) + 1
        return [*queue, call], told(f"Added to the batch queue, which has {count} job{'s' if count > 1 else ''} now.")


async def followed(studio: Studio, run: Run) -> AsyncIterator[str]:
    """Yield how far a run is, whenever that changes, until it has stopped."""
    last = ""
    while not run.finished.is_set():
        text = waiting(studio, run)
        if text != last:
            yield text
        last = text
        await asyncio.sleep(_POLL_SECONDS)


def waiting(studio: Studio, run: Run) -> str:
    """Return how far a run is: a bar, counts and the time left."""
    number = f"Job {len(run.outcomes) + 1} of {len(run.calls)}. " if len(run.calls) > 1 else ""
    if not run.stage:
        before = studio.runs.waiting_before(run)
        return told(f"Waiting for {counted(before, 'other video')}" if before else "Starting")
    if not run.total:
        return f'{told(number + run.stage)}<progress aria-label="Progress"></progress>'
    left = run.seconds_left
    text = f"{number}{run.stage}: {run.done} of {run.total} frames"
    text += f", about {_clock(left)} left" if left is not None else ""
    return f'{told(text)}<progress aria-label="Progress" max="{run.total}" value="{run.done}"></progress>'


def told(text: str) -> str:
    """Return a message for the page."""
    return f'<p role="status">{html.escape(text)}</p>'


def shown_outcome(outcome: Outcome) -> tuple[str, str]:
    """Return the message about an outcome and its player."""
    if outcome.summary is None:
        return fault(outcome.error or ""), ""
    return told("Done."), pair(outcome.call.inputs[0], outcome.summary)


def _idle(status: str, player: str = "") -> list[Any]:
    """Return the outputs when nothing runs any more."""
    return [None, gr.update(visible=True), gr.update(visible=False), status, player, *[gr.skip()] * 3]


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02} min" if whole >= 60 else f"{whole} s"
