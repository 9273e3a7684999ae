"""The web socket of an avatar: sound and JSON in; frames and JSON out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from fastapi import APIRouter, HTTPException, Request, WebSocket
from starlette.websockets import WebSocketDisconnect

from liveportrait.errors import PortraitError
from talkinghead.errors import OptionError
from talkinghead.realtime.avatar import AvatarSession
from talkinghead.server.avatars import (
    MICROPHONE_DELAY,
    AvatarRequest,
    Avatars,
    Control,
    TooManyError,
    described_marks,
    read_request,
)
from talkinghead.server.fragments import MP4_TYPE, Mp4Fragments, to_jpeg
from talkinghead.server.options import ServerOptions

_START_SECONDS = 10.0
_LONGEST_MESSAGE = 1_000_000

router = APIRouter(prefix="/v1", tags=["avatars"])


@router.post("/portraits", status_code=201)
async def post_portrait(request: Request) -> dict[str, Any]:
    """Upload a portrait, as the body of the request, to be used by avatars."""
    content = await request.body()
    if not content:
        raise HTTPException(422, "the portrait is missing: send the picture as the body of the request")
    try:
        name, (height, width) = await asyncio.to_thread(request.app.state.avatars.add_portrait, content)
    except PortraitError as error:
        raise HTTPException(422, str(error)) from None
    return {"id": name, "width": width, "height": height}


@router.websocket("/avatar")
async def avatar(socket: WebSocket) -> None:
    """Speak what arrives, until either side ends it; docs/avatar.md describes the messages."""
    await socket.accept()
    avatars: Avatars = socket.app.state.avatars
    options: ServerOptions = socket.app.state.options
    try:
        asked = read_request(await asyncio.wait_for(_read_start(socket), _START_SECONDS))
        async with avatars.session(asked) as session, asyncio.timeout(options.max_avatar_seconds):
            await _serve(socket, session, asked, avatars, options)
    except TooManyError as error:
        await _refuse(socket, 1013, str(error))
    except PortraitError as error:
        await _refuse(socket, 1008, str(error))
    except TimeoutError:
        await _refuse(socket, 1008, "time is over")
    except (WebSocketDisconnect, RuntimeError):  # the latter if the client is gone while something is sent
        return


async def _read_start(socket: WebSocket) -> object:
    try:
        return json.loads(await socket.receive_text())
    except (KeyError, ValueError, RecursionError):
        raise OptionError('begin with a JSON text such as {"portrait": "example"}') from None


async def _serve(
    socket: WebSocket, session: AvatarSession, asked: AvatarRequest, avatars: Avatars, options: ServerOptions
) -> None:
    height, width = session.size
    ready = {"type": "ready", "width": width, "height": height, "fps": float(session.fps)}
    content = "image/jpeg" if asked.format == "jpeg" else MP4_TYPE
    await socket.send_json(ready | {"sample_rate": session.sample_rate, "content_type": content})
    control = Control(session, options.max_text)
    try:
        await _until_first_ends(
            _send_frames(socket, session, asked, avatars), _receive(socket, session, asked, control)
        )
        await socket.close(1001 if session.is_closed else 1000)
    finally:
        await control.stop()


async def _until_first_ends(*work: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until one ends, cancel the others, and raise what went wrong."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = await _cancelled(tasks)
    error = next((each for each in ended if isinstance(each, Exception)), None)
    try:
        if error is not None:
            raise error
    finally:
        del tasks, ended, error  # the error refers to this frame: in a cycle, avatars and coders would live on


async def _cancelled(tasks: list[asyncio.Task[None]]) -> list[BaseException | None]:
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def _send_frames(socket: WebSocket, session: AvatarSession, asked: AvatarRequest, avatars: Avatars) -> None:
    coder = Mp4Fragments(session.size, session.fps, session.sample_rate) if asked.format == "mp4" else None
    try:
        async for frame in session.frames():
            for mark in described_marks(frame):
                await socket.send_json(mark)
            if data := await asyncio.to_thread(coder.push if coder else to_jpeg, frame):
                await socket.send_bytes(data)
            avatars.count(frame)
    finally:
        if coder is not None:
            coder.close()


async def _receive(socket: WebSocket, session: AvatarSession, asked: AvatarRequest, control: Control) -> None:
    delay = MICROPHONE_DELAY if asked.microphone else None
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        if (pcm := message.get("bytes")) is not None:
            if len(pcm) > _LONGEST_MESSAGE:
                raise OptionError(f"a message has {len(pcm):,} bytes, {_LONGEST_MESSAGE:,} is the most")
            session.push_audio(pcm, session.sample_rate, max_delay=delay)
            continue
        try:
            said = json.loads(message["text"])
        except (ValueError, RecursionError):
            raise OptionError("a text message is not JSON") from None
        if isinstance(said, dict) and said.get("type") == "close":
            return
        if (answer := await control.obey(said)) is not None:
            await socket.send_json(answer)


async def _refuse(socket: WebSocket, code: int, reason: str) -> None:
    """Tell the client why, in JSON and in the close frame, which has room for 123 bytes."""
    try:
        await socket.send_json({"type": "error", "message": reason})
        await socket.close(code, reason.encode()[:120].decode(errors="ignore"))
    except (WebSocketDisconnect, RuntimeError):
        return
