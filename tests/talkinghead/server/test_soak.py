"""Half an hour with the real server: memory, threads and descriptors stay flat.

One avatar stays connected all the time. Others come through the web socket and WebRTC, speak, are interrupted and
leave; after each of them a video is made and a bad request refused. `pytest -m soak --log-cli-level=INFO` shows the
curve; $SOAK_MINUTES is the duration.
"""

import asyncio
import base64
import io
import json
import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pytest

pytestmark = pytest.mark.soak

pytest.importorskip("fastapi")
aiortc = pytest.importorskip("aiortc")
httpx = pytest.importorskip("httpx")
soundfile = pytest.importorskip("soundfile")
websockets = pytest.importorskip("websockets")

from talkinghead.cli.demo import demo_inputs  # noqa: E402

logger = logging.getLogger(__name__)

ROUND_SECONDS = 18
SMALL = {"size": 64, "fps": 5}
MOST_GROWTH_MB = 20


class Sample(NamedTuple):
    """What the server holds while only the avatar that stays is connected."""

    minutes: float
    megabytes: float
    threads: int
    descriptors: int


def measure(process, begun):
    status = Path(f"/proc/{process.pid}/status").read_text()
    kilobytes, threads = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads"))
    descriptors = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
    return Sample((time.monotonic() - begun) / 60, kilobytes / 1024, threads, descriptors)


@pytest.fixture(scope="module")
def server():
    """The command `talkinghead serve` in a process of its own: yields the process and the port."""
    command = [sys.executable, "-c", "from talkinghead.cli import main; main()", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        port = None
        while port is None:
            line = process.stderr.readline()
            assert line, "the server did not start"
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            port = found and int(found[1])
        yield process, port
        process.terminate()
        assert process.wait(30) == 0


@pytest.fixture(scope="module")
def voice():
    """Three seconds of the voice that ships, int16 at 24 kHz."""
    samples, rate = soundfile.read(demo_inputs().voice, dtype="float32")
    times = np.arange(3 * 24_000) * rate / 24_000
    return (np.interp(times, np.arange(len(samples)), samples) * 32_767).astype(np.int16)


async def until(messages, kind):
    async for message in messages:
        if isinstance(message, str) and json.loads(message)["type"] == kind:
            return
    raise AssertionError(f"the server closed before {kind}")


async def opened(port, **asked):
    socket = await websockets.connect(f"ws://127.0.0.1:{port}/v1/avatar", max_size=None)
    await socket.send(json.dumps(SMALL | asked))
    await until(socket, "ready")
    return socket


async def stay(port, voice, frames):
    """Stay connected; speak a turn in every round."""
    socket = await opened(port)
    while True:
        await socket.send(voice[:24_000].tobytes())
        await socket.send('{"type": "flush"}')
        end = time.monotonic() + ROUND_SECONDS
        while time.monotonic() < end:
            frames.append(len(await asyncio.wait_for(socket.recv(), 30)))


async def visit_socket(port, voice, form):
    async with await opened(port, format=form) as socket:
        await socket.send(voice.tobytes())
        await until(socket, "speech_started")
        await asyncio.sleep(1)
        await socket.send('{"type": "interrupt"}')
        await until(socket, "interrupted")
        await socket.send(voice[:24_000].tobytes())
        await socket.send('{"type": "flush"}')
        await until(socket, "turn_ended")


async def visit_webrtc(port, portrait):
    connection = aiortc.RTCPeerConnection()
    events, tasks = asyncio.Queue(), []

    async def drain(track):
        while True:
            await track.recv()

    async def expect(kind):
        while json.loads(await asyncio.wait_for(events.get(), 30))["type"] != kind:
            pass

    for media in ("video", "audio"):
        connection.addTransceiver(media, direction="recvonly")
    channel, is_open = connection.createDataChannel("control"), asyncio.Event()
    channel.on("open", is_open.set)
    channel.on("message", events.put_nowait)
    connection.on("track", lambda track: tasks.append(asyncio.ensure_future(drain(track))))
    await connection.setLocalDescription(await connection.createOffer())
    offer = {"sdp": connection.localDescription.sdp, "type": "offer", "avatar": SMALL | {"portrait": portrait}}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        answer = (await client.post("/v1/avatar/offer", json=offer)).json()
    await connection.setRemoteDescription(aiortc.RTCSessionDescription(**answer))
    await asyncio.wait_for(is_open.wait(), 20)
    channel.send('{"type": "say", "text": "I am a visitor, and I would go on for a long time."}')
    await expect("speech_started")
    await asyncio.sleep(1)
    channel.send('{"type": "interrupt"}')
    await expect("interrupted")
    channel.send('{"type": "say", "text": "Bye."}')
    await expect("turn_ended")
    for task in tasks:
        task.cancel()
    await connection.close()


async def make_video(port, voice):
    """Make a video of half a second, fetch and remove it; and send something that is refused."""
    options = {"crop": {"face_only": True, "size": 64}, "render": {"fps": "10"}}
    sound = io.BytesIO()
    soundfile.write(sound, voice[:12_000], 24_000, format="WAV", subtype="PCM_16")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        given = {"portrait": "example", "audio": base64.b64encode(sound.getvalue()).decode(), "options": options}
        job = (await client.post("/v1/speak", json=given)).json()
        async with client.stream("GET", f"/v1/jobs/{job['id']}/events") as events:
            told = [line async for line in events.aiter_lines() if line]
        assert json.loads(told[-1].removeprefix("data: "))["state"] == "done"
        assert len((await client.get(f"/v1/jobs/{job['id']}/result")).content) > 1_000
        assert (await client.delete(f"/v1/jobs/{job['id']}")).status_code == 204
        assert (await client.post("/v1/speak", json={"portrait": "/etc/passwd"})).status_code == 422


async def soak(process, port, voice, minutes):
    frames, samples, begun = [], [], time.monotonic()
    staying = asyncio.create_task(stay(port, voice, frames))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        content = demo_inputs().portrait.read_bytes()
        portrait = (await client.post("/v1/portraits", content=content)).json()["id"]
    while time.monotonic() - begun < 60 * minutes:
        end = time.monotonic() + ROUND_SECONDS
        form = ("WebRTC", "jpeg", "mp4")[len(samples) % 3]
        visit = visit_webrtc(port, portrait) if form == "WebRTC" else visit_socket(port, voice, form)
        await asyncio.wait_for(visit, 60)
        await make_video(port, voice)
        await asyncio.sleep(max(end - time.monotonic(), 1))
        samples.append(measure(process, begun))
        logger.info("%5.2f min %8.1f MB %4d threads %4d descriptors", *samples[-1])
        assert not staying.done(), staying.exception()
    staying.cancel()
    return samples, len(frames)


def test_nothing_grows(server, voice):
    minutes = float(os.environ.get("SOAK_MINUTES", "30"))
    samples, frames = asyncio.run(soak(*server, voice, minutes))
    assert frames > 60 * minutes * SMALL["fps"] * 0.8
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[2 * third :]
    assert median(s.megabytes for s in last) - median(s.megabytes for s in middle) < MOST_GROWTH_MB
    assert max(s.threads for s in last) <= max(s.threads for s in middle)
    assert max(s.descriptors for s in last) <= max(s.descriptors for s in middle)
