"""Avatars through WebRTC: the client's microphone in, video and sound out, JSON on a data channel."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field

from liveportrait.errors import PortraitError
from talkinghead.errors import OptionError
from talkinghead.realtime.avatar import AvatarSession
from talkinghead.server.avatars import MICROPHONE_DELAY, AvatarRequest, Avatars, Control, TooManyError, described_marks
from talkinghead.server.options import ServerOptions

logger = logging.getLogger(__name__)

RATE = 48_000
_PACKET = RATE // 50
_CONNECT_SECONDS = 20.0
_LONGEST_SDP = 100_000
_QUEUED = 8
"""Frames that wait to be sent, at most; if the connection is slower, the clock of the session waits."""

router = APIRouter(prefix="/v1", tags=["avatars"])


class Offer(BaseModel):
    """An offer of a session, from `RTCPeerConnection.createOffer`."""

    sdp: str = Field(max_length=_LONGEST_SDP)
    type: str = Field("offer", pattern="^offer$")
    avatar: AvatarRequest = Field(default_factory=AvatarRequest)  # type: ignore[arg-type]


@router.post("/avatar/offer")
async def post_offer(request: Request, offer: Offer) -> dict[str, Any]:
    """Answer the offer of a WebRTC session.

    The client offers to receive video and audio, may send its microphone, and may open a data channel for the same
    JSON messages as on the web socket; `{"type": "microphone", "on": true}` lets the avatar speak the microphone.
    """
    avatars: Avatars = request.app.state.avatars
    peer = Peer(avatars, offer.avatar, request.app.state.options)
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(peer.run(offer, ready))
    request.app.state.peers.add(task)
    task.add_done_callback(request.app.state.peers.discard)
    try:
        return await ready
    except TooManyError as error:
        raise HTTPException(429, str(error), {"Retry-After": "10"}) from None
    except PortraitError as error:
        raise HTTPException(422, str(error)) from None


class Peer:
    """One connection and its avatar.

    Args:
        avatars: Opens the session.
        asked: What the avatar should be like.
        options: The limits.
    """

    def __init__(self, avatars: Avatars, asked: AvatarRequest, options: ServerOptions) -> None:
        self._avatars, self._options = avatars, options
        self._asked = asked.model_copy(update={"sample_rate": RATE})
        self._microphone_on = False
        self._channel: Any = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, offer: Offer, ready: asyncio.Future[dict[str, Any]]) -> None:
        """Open the session, answer the offer, and serve until the connection ends."""
        connection = RTCPeerConnection()
        try:
            async with self._avatars.session(self._asked) as session, asyncio.timeout(self._options.max_avatar_seconds):
                control = Control(session, self._options.max_text)
                try:
                    ended = self._prepare(connection, session, control)
                    sound = SoundTrack()
                    video = PictureTrack(sound)
                    await _accept(connection, offer, video, sound)
                    ready.set_result({"sdp": connection.localDescription.sdp, "type": "answer"})
                    self._begin(self._show(session, connection, video))
                    await ended.wait()
                finally:
                    await control.stop()
        except TimeoutError:
            logger.info("the time of an avatar is over")
        except Exception as error:
            if not ready.done():
                ready.set_exception(error)
            else:
                logger.exception("an avatar's connection failed")
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await connection.close()
            connection.remove_all_listeners()  # they refer to the avatar, and aiortc's objects are freed late
            if self._channel is not None:
                self._channel.remove_all_listeners()

    def _prepare(self, connection: RTCPeerConnection, session: AvatarSession, control: Control) -> asyncio.Event:
        """Listen to the client; the event tells when the connection has ended."""
        ended = asyncio.Event()

        @connection.on("connectionstatechange")
        def on_state() -> None:
            if connection.connectionState in {"failed", "closed", "disconnected"}:
                ended.set()

        @connection.on("track")
        def on_track(track: MediaStreamTrack) -> None:
            if track.kind == "audio":
                self._begin(self._hear(track, session))

        @connection.on("datachannel")
        def on_channel(channel: Any) -> None:
            self._channel = channel
            channel.on("message", lambda text: self._begin(self._obey(text, control)))

        asyncio.get_running_loop().call_later(
            _CONNECT_SECONDS, lambda: connection.connectionState == "connected" or ended.set()
        )
        return ended

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task that ends with the connection."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _show(self, session: AvatarSession, connection: RTCPeerConnection, video: PictureTrack) -> None:
        left = np.zeros(0, np.int16)
        while connection.connectionState != "connected":
            await asyncio.sleep(0.02)
        async for frame in session.frames():
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.picture), "rgb24")
            shown.pts, shown.time_base = int(frame.seconds * 90_000), Fraction(1, 90_000)
            left = np.concatenate([left, frame.sound])
            first = round(frame.seconds * RATE) + len(frame.sound) - len(left)
            packets: list[av.AudioFrame] = []
            while len(left) >= _PACKET:
                heard = av.AudioFrame.from_ndarray(left[None, :_PACKET], "s16", "mono")
                heard.sample_rate, heard.pts, heard.time_base = RATE, first, Fraction(1, RATE)
                first, left = first + _PACKET, left[_PACKET:]
                packets.append(heard)
            await video.queue.put((shown, packets))
            for mark in described_marks(frame):
                self._tell(mark)
            self._avatars.count(frame)

    async def _hear(self, track: MediaStreamTrack, session: AvatarSession) -> None:
        """Let the avatar speak the microphone while it is on."""
        was_on = False
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if self._microphone_on and isinstance(frame, av.AudioFrame):
                channels = len(frame.layout.channels)
                samples = frame.to_ndarray().reshape(-1, channels).mean(1).astype(np.int16)
                session.push_audio(samples, frame.sample_rate, max_delay=MICROPHONE_DELAY)
            elif was_on:
                session.flush()
            was_on = self._microphone_on

    async def _obey(self, text: object, control: Control) -> None:
        try:
            said = json.loads(text) if isinstance(text, str) else None
            if isinstance(said, dict) and said.get("type") == "microphone":
                self._microphone_on = said.get("on") is True
                return
            answer = await control.obey(said)
        except ValueError as error:  # as OptionError is
            self._tell({"type": "error", "message": str(error) if isinstance(error, OptionError) else "not JSON"})
            return
        if answer is not None:
            self._tell(answer)

    def _tell(self, message: dict[str, Any]) -> None:
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(json.dumps(message))


class SoundTrack(MediaStreamTrack):
    """A track of sound from a queue."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.queue: asyncio.Queue[av.AudioFrame] = asyncio.Queue(_QUEUED)

    async def recv(self) -> av.AudioFrame:
        """Return the next packet."""
        if self.readyState != "live":
            raise MediaStreamError
        return await self.queue.get()


class PictureTrack(MediaStreamTrack):
    """A track of pictures from a queue, each with its sound, which follows once the picture has been sent.

    Browsers keep sound and picture in step by the times that aiortc reports, which are those of sending. To code a
    picture takes time, so its sound has to wait as long.

    Args:
        sound: The track of the sound.
    """

    kind = "video"

    def __init__(self, sound: SoundTrack) -> None:
        super().__init__()
        self.queue: asyncio.Queue[tuple[av.VideoFrame, list[av.AudioFrame]]] = asyncio.Queue(_QUEUED)
        self._sound, self._unsent = sound, list[av.AudioFrame]()

    async def recv(self) -> av.VideoFrame:
        """Return the next picture, now that the one before has been sent."""
        if self.readyState != "live":
            raise MediaStreamError
        for packet in self._unsent:
            await self._sound.queue.put(packet)
        picture, self._unsent = await self.queue.get()
        return picture


async def _accept(connection: RTCPeerConnection, offer: Offer, video: PictureTrack, sound: SoundTrack) -> None:
    """Set both descriptions.

    Raises:
        OptionError: The offer cannot be used.
    """
    try:
        await connection.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        kinds = {transceiver.kind for transceiver in connection.getTransceivers()}
        if kinds != {"audio", "video"}:
            raise OptionError("the offer must have video and audio: add both transceivers")
        connection.addTrack(video)
        connection.addTrack(sound)
        await connection.setLocalDescription(await connection.createAnswer())
    except OptionError:
        raise
    except Exception as error:  # aiortc raises all kinds for SDP that it cannot parse
        raise OptionError(f"the offer cannot be used ({type(error).__name__}: {error})") from None
