"""The requests for videos: speak, reenact and narrate as jobs with progress, result and cancel."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.datastructures import State

from liveportrait.errors import PortraitError
from talkinghead.api import reenact, speak
from talkinghead.errors import OptionError
from talkinghead.media.audio import probe_sound
from talkinghead.media.progress import Progress
from talkinghead.media.video import VideoFile, read_picture_or_video
from talkinghead.narration.narrate import narrate
from talkinghead.saving import Summary
from talkinghead.server.examples import job_request
from talkinghead.server.inputs import Inputs, read_inputs
from talkinghead.server.jobs import FINISHED, Job, JobQueue, QueueFullError, Work, without_folder

_POLL_SECONDS = 0.2

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.post("/speak", status_code=202, openapi_extra=job_request("speak"))
async def post_speak(request: Request) -> dict[str, Any]:
    """Let a portrait speak a recorded voice."""
    most, models = request.app.state.options.max_seconds, request.app.state.models

    def check(inputs: Inputs) -> None:
        check_length("audio", float(probe_sound(inputs.files["audio"]).seconds), most)
        read_picture_or_video(inputs.files["portrait"])

    def work(inputs: Inputs, result: Path, progress: Progress) -> Summary:
        portrait, audio = inputs.files["portrait"], inputs.files["audio"]
        return speak(portrait, audio, result, options=inputs.options, model=models, progress=progress)

    return await _queue(request, "speak", ["portrait", "audio"], [], check, work)


@router.post("/reenact", status_code=202, openapi_extra=job_request("reenact"))
async def post_reenact(request: Request) -> dict[str, Any]:
    """Let a portrait follow the face in a video."""
    most, models = request.app.state.options.max_seconds, request.app.state.models

    def check(inputs: Inputs) -> None:
        for name, file in inputs.files.items():
            given = read_picture_or_video(file)
            check_length(name, float(given.num_frames / given.fps) if isinstance(given, VideoFile) else 0.0, most)

    def work(inputs: Inputs, result: Path, progress: Progress) -> Summary:
        driver, portrait = inputs.files["driver"], inputs.files["portrait"]
        return reenact(portrait, driver, result, options=inputs.options, model=models, progress=progress)

    return await _queue(request, "reenact", ["portrait", "driver"], [], check, work)


@router.post("/narrate", status_code=202, openapi_extra=job_request("narrate"))
async def post_narrate(request: Request) -> dict[str, Any]:
    """Let a portrait read a text aloud; headings of Markdown become chapters."""
    most, models = request.app.state.options.max_text, request.app.state.models

    def check(inputs: Inputs) -> None:
        if len(inputs.texts["script"]) > most:
            raise HTTPException(413, f"script has {len(inputs.texts['script']):,} characters, {most:,} is the most")
        read_picture_or_video(inputs.files["portrait"])

    def work(inputs: Inputs, result: Path, progress: Progress) -> Summary:
        script = result.parent / "uploads" / "script.md"
        script.write_text(inputs.texts["script"], encoding="utf-8")
        portrait = inputs.files["portrait"]
        return narrate(portrait, script, result, options=inputs.options, model=models, progress=progress)

    return await _queue(request, "narrate", ["portrait"], ["script"], check, work)


@router.get("/jobs/{name}")
async def get_job(request: Request, name: str) -> dict[str, Any]:
    """Tell how far a job is."""
    return _find(request, name).describe()


@router.get("/jobs/{name}/events")
async def get_events(request: Request, name: str) -> StreamingResponse:
    """Tell how far a job is whenever that changes, as server-sent events, until it is finished."""
    job = _find(request, name)

    async def events() -> AsyncIterator[str]:
        told = None
        while True:
            described = job.describe()
            if described != told:
                yield f"data: {json.dumps(described)}\n\n"
                told = described
            if described["state"] in FINISHED or request.app.state.is_closing():
                return
            await asyncio.sleep(_POLL_SECONDS)

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@router.get("/jobs/{name}/result")
async def get_result(request: Request, name: str) -> FileResponse:
    """Return the video of a finished job."""
    job = _find(request, name)
    if job.state != "done":
        raise HTTPException(409, f"the job is {job.state}, it has no result{'' if job.state in FINISHED else ' yet'}")
    return FileResponse(job.result, media_type="video/mp4", filename=f"{job.kind}.mp4")


@router.delete("/jobs/{name}", status_code=204)
async def delete_job(request: Request, name: str) -> Response:
    """Cancel a job, and remove its files."""
    request.app.state.jobs.remove(_find(request, name))
    return Response(status_code=204)


async def _queue(
    request: Request,
    kind: str,
    files: Collection[str],
    texts: Collection[str],
    check: Callable[[Inputs], None],
    work: Any,
) -> dict[str, Any]:
    """Read and check a request and queue its job; nothing stays of a request that is refused."""
    jobs: JobQueue = request.app.state.jobs
    try:
        folder = jobs.new_folder()
        try:
            inputs = await read_inputs(request, kind, files, texts, folder / "uploads")
            await asyncio.to_thread(check, inputs)
            job = Job(kind, folder, _with_inputs(work, inputs, request.app.state))
            jobs.submit(job)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, PortraitError):
                raise HTTPException(422, without_folder(str(error), folder / "uploads")) from None
            raise
    except QueueFullError:
        raise HTTPException(429, "too many jobs are waiting: try again later", {"Retry-After": "10"}) from None
    return job.describe()


def _with_inputs(work: Any, inputs: Inputs, state: State) -> Work:
    def checked(_: Path, result: Path, progress: Progress) -> Summary:
        state.denied.check(inputs.files["portrait"], state.models.faces)
        options = replace(inputs.options, provenance=state.provenance)
        return work(replace(inputs, options=options), result, progress)

    return checked


def _find(request: Request, name: str) -> Job:
    job = request.app.state.jobs.find(name)
    if job is None:
        raise HTTPException(404, "there is no such job, or it was removed")
    return job


def check_length(name: str, seconds: float, most: float) -> None:
    """Check how long an input is.

    Raises:
        OptionError: It is too long.
    """
    if seconds > most:
        raise OptionError(f"{name} lasts {seconds:.1f} s, {most:g} s is the most")
