"""The tab Batch queue: jobs of the other tabs, and every picture with every voice, made one after the other."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr
import yaml

import talkinghead
from talkinghead.cli.demo import demo_inputs
from talkinghead.studio.call import Call
from talkinghead.studio.player import pair
from talkinghead.studio.result import CONSENT, SHOWN, followed, told, waiting
from talkinghead.studio.runs import Outcome, Run
from talkinghead.studio.source import fault
from talkinghead.studio.studio import Studio

_COMMAND = "talkinghead batch jobs.yaml"
_EMPTY = "The queue is empty. Other tabs add to it, and so do the pictures and voices above."


def build(studio: Studio, queue: gr.State, tab: gr.Tab) -> None:
    """Fill the tab."""
    gr.Markdown("Add jobs here or with *Add to the batch queue* in other tabs; then make all of them.")
    with gr.Row():
        pictures = gr.File(label="Pictures or videos of faces", file_count="multiple", height=160)
        voices = gr.File(label="Voices", file_count="multiple", height=160)
    with gr.Row():
        use = gr.Button("Use the examples", size="sm")
        add = gr.Button("Add every picture with every voice", size="sm")
    table = gr.HTML(told(_EMPTY))
    gr.Markdown(CONSENT, elem_classes="consent")
    with gr.Row():
        make = gr.Button("Make all", variant="primary")
        cancel = gr.Button("Cancel", variant="stop", visible=False)
        clear = gr.Button("Empty the queue")
    status, results = gr.HTML(elem_classes="status"), gr.HTML()
    with gr.Accordion("The same from the command line", open=True):
        gr.Code(_COMMAND, label="Command line", language="shell", **SHOWN)
        jobs = gr.Code(label="jobs.yaml", language="yaml", **SHOWN)
    run = gr.State()

    async def work(calls: list[Call], request: gr.Request) -> AsyncIterator[Any]:
        if not calls:
            yield _idle(fault("the queue is empty: add jobs first"), "")
            return
        page = str(request.session_hash)
        started = studio.runs.start(page, calls, studio.runs.new_folder(page))
        yield [started, gr.update(visible=False), gr.update(visible=True), waiting(studio, started), ""]
        async for text in followed(studio, started):
            yield [gr.skip(), gr.skip(), gr.skip(), text, listed(started)]
        if started.cancelled.is_set():
            yield _idle(told("Cancelled. Nothing was kept."), "")
            return
        failed = sum(outcome.error is not None for outcome in started.outcomes)
        yield _idle(told(f"{len(calls) - failed} of {len(calls)} jobs are done."), listed(started))

    def stop(started: Run | None) -> str:
        if started is not None:
            studio.runs.cancel(started)
        return told("Cancelling")

    def add_all(calls: list[Call], sources: list[str] | None, sounds: list[str] | None) -> tuple[Any, str]:
        if not sources or not sounds:
            return gr.skip(), fault("pictures or voices are missing: upload some, or use the examples")
        options = talkinghead.Options()
        new = [Call("speak", (Path(source), Path(sound)), options) for source in sources for sound in sounds]
        return [*calls, *new], ""

    quiet: Any = {"queue": False, "show_progress": "hidden"}

    def show(calls: list[Call]) -> tuple[str, str]:
        return tabled(calls), as_yaml(calls)

    tab.select(show, queue, [table, jobs], **quiet)
    use.click(lambda: [[str(file)] for file in demo_inputs()], None, [pictures, voices], queue=False)
    added = add.click(add_all, [queue, pictures, voices], [queue, status], **quiet)
    emptied = clear.click(list, None, queue, **quiet)
    for changed in (added, emptied):
        changed.then(show, queue, [table, jobs], **quiet)
    make.click(work, queue, [run, make, cancel, status, results], concurrency_limit=None, show_progress="hidden")
    cancel.click(stop, run, status, **quiet)


def tabled(calls: list[Call]) -> str:
    """Return a table of the queue."""
    if not calls:
        return told(_EMPTY)
    rows = ""
    for number, call in enumerate(calls, 1):
        names = html.escape(", ".join(file.name for file in call.inputs))
        rows += f"<tr><td>{number}</td><td>{call.command}</td><td>{names}</td></tr>"
    head = "<tr><th>Job</th><th>Command</th><th>Files</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def as_yaml(calls: list[Call]) -> str:
    """Return the file of jobs that `talkinghead batch` takes."""
    jobs = [call.job(f"{n:03}-{call.inputs[0].stem}.mp4") for n, call in enumerate(calls, 1)]
    return yaml.safe_dump({"jobs": jobs}, sort_keys=False, width=1000, allow_unicode=True) if jobs else ""


def listed(run: Run) -> str:
    """Return the outcomes of a run so far."""
    return "".join(_shown(n, outcome) for n, outcome in enumerate(run.outcomes, 1))


def _shown(number: int, outcome: Outcome) -> str:
    names = html.escape(", ".join(file.name for file in outcome.call.inputs))
    title = f"Job {number}: {outcome.call.command} {names}"
    if outcome.summary is None:
        return fault(f"{title}: {outcome.error}")
    return f"<details><summary>{title}</summary>{pair(outcome.call.inputs[0], outcome.summary)}</details>"


def _idle(status: str, results: str) -> list[Any]:
    return [None, gr.update(visible=True), gr.update(visible=False), status, results]
