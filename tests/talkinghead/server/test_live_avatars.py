"""Live avatars through a real server: the web socket with a real client, and WebRTC with aiortc as the client."""

import asyncio
import gc
import io
import json
import threading
import time
import weakref
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
aiortc = pytest.importorskip("aiortc")
httpx = pytest.importorskip("httpx")
pytest.importorskip("websockets")

from running import running  # noqa: E402
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

from talkinghead import AvatarSession  # noqa: E402
from talkinghead.server import avatars  # noqa: E402
from talkinghead.server.fragments import HEADER, Mp4Fragments  # noqa: E402


@pytest.fixture(scope="module")
def server():
    with running(max_avatars=2) as (port, app):
        yield port, app


@pytest.fixture(scope="module")
def portrait(server):
    file = io.BytesIO()
    Image.fromarray(np.full((240, 240, 3), 40, np.uint8)).save(file, "PNG")
    return httpx.post(f"http://127.0.0.1:{server[0]}/v1/portraits", content=file.getvalue()).json()["id"]


@pytest.fixture
def said(monkeypatch):
    """Texts are spoken by a tone, 100 ms for a letter."""
    spoken = []

    def synthesize(text):
        spoken.append(text)
        return np.float32(0.5) * np.sin(np.arange(2_400 * len(text)) / 5).astype(np.float32), 24_000

    monkeypatch.setattr(avatars, "synthesize", synthesize)
    return spoken


def opened(server, portrait, **asked):
    socket = connect(f"ws://127.0.0.1:{server[0]}/v1/avatar", max_size=None).__enter__()
    socket.send(json.dumps({"portrait": portrait, "size": 64, **asked}))
    return socket, json.loads(socket.recv())


def all_gone(server):
    state, end = server[1].state, time.monotonic() + 10
    while (state.avatars._open or state.peers) and time.monotonic() < end:
        time.sleep(0.02)
    return not state.avatars._open and not state.peers


def read(socket, until):
    """Read messages up to the first of a type: events, and frames as (number, sound, picture)."""
    events, frames = [], []
    while not events or events[-1]["type"] != until:
        message = socket.recv(timeout=10)
        if isinstance(message, str):
            events.append(json.loads(message))
        else:
            number, _, sound, picture = HEADER.unpack(message[: HEADER.size])
            rest = message[HEADER.size :]
            assert len(rest) == sound + picture
            frames.append((number, np.frombuffer(rest[:sound], np.int16), rest[sound:]))
    return events, frames


def test_sound_goes_in_and_comes_out_with_pictures(server, portrait):
    socket, ready = opened(server, portrait)
    assert (ready["type"], ready["width"], ready["fps"], ready["content_type"]) == ("ready", 64, 25.0, "image/jpeg")
    with socket:
        sound = (8_000 * np.sin(np.arange(12_000) / 5) + 1).astype(np.int16)
        for start in range(0, len(sound), 480):
            socket.send(sound[start : start + 480].tobytes())
        socket.send('{"type": "flush"}')
        events, frames = read(socket, "turn_ended")
        frames.append(read_frame(socket))  # the event came before its frame
        played = np.concatenate([frame[1] for frame in frames])
        first = int(np.flatnonzero(played)[0])
        assert np.array_equal(played[first : first + len(sound)], sound)
        assert [event["type"] for event in events] == ["speech_started", "turn_ended"]
        assert [frame[0] for frame in frames] == list(range(len(frames)))
        assert Image.open(io.BytesIO(frames[0][2])).size == (64, 64)


def read_frame(socket):
    while isinstance(message := socket.recv(timeout=10), str):
        pass
    number, _, sound, _ = HEADER.unpack(message[: HEADER.size])
    return number, np.frombuffer(message[HEADER.size :][:sound], np.int16), message[HEADER.size :][sound:]


def test_a_text_is_spoken_and_interrupted(server, portrait, said):
    socket, _ = opened(server, portrait)
    with socket:
        socket.send(json.dumps({"type": "say", "text": "Hello there. This is a longer sentence."}))
        read(socket, "speech_started")
        time.sleep(0.3)
        socket.send('{"type": "interrupt"}')
        events, _ = read(socket, "interrupted")
        assert any(event["type"] == "dropped" and event["played_seconds"] > 0.1 for event in events)
        socket.send(json.dumps({"type": "say", "text": "Hi."}))
        events, _ = read(socket, "turn_ended")
    assert said == ["Hello there.", "This is a longer sentence.", "Hi."]
    assert events[-1]["played_seconds"] == pytest.approx(0.3, abs=0.05)


def test_fragments_of_an_mp4_can_be_played(server, portrait):
    socket, ready = opened(server, portrait, format="mp4")
    assert ready["content_type"].startswith("video/mp4")
    with socket:
        socket.send((8_000 * np.sin(np.arange(24_000) / 5)).astype(np.int16).tobytes())
        content = b""
        while content.count(b"moof") < 16:
            message = socket.recv(timeout=10)
            content += message if isinstance(message, bytes) else b""
    assert content[4:8] == b"ftyp"
    with av.open(io.BytesIO(content)) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert len(times) > 38 and np.allclose(np.diff(times), 0.04, atol=0.001)
    with av.open(io.BytesIO(content)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 36 * 960


def bursts():
    """A second and a half of three bursts of sound, each 200 ms after 300 ms of silence, int16 at 24 kHz."""
    loud = np.tile(np.repeat([0, 8_000], [7_200, 4_800]), 3)
    return (loud * np.sin(np.arange(len(loud)) / 5)).astype(np.int16)


def test_every_jpeg_comes_with_its_sound(server, portrait):
    socket, _ = opened(server, portrait)
    with socket:
        socket.send(bursts().tobytes())
        socket.send('{"type": "flush"}')
        _, frames = read(socket, "turn_ended")
    shown = [
        (np.abs(sound).max() > 1_000, np.asarray(Image.open(io.BytesIO(jpeg))).mean() > 60)
        for _, sound, jpeg in frames
        if jpeg
    ]
    assert len(shown) > 20 and sum(is_loud for is_loud, _ in shown) > 8
    assert all(is_loud == is_lit for is_loud, is_lit in shown)


def test_times_of_sound_and_picture_in_an_mp4_agree(server, portrait):
    socket, _ = opened(server, portrait, format="mp4")
    content = b""
    with socket:
        socket.send(np.tile(bursts(), 2).tobytes())
        socket.send('{"type": "flush"}')
        ended = time.monotonic() + 4
        while time.monotonic() < ended:
            message = socket.recv(timeout=10)
            content += message if isinstance(message, bytes) else b""
    lit, loud = [], []
    with av.open(io.BytesIO(content)) as container:
        for frame in container.decode(video=0):
            lit.append((frame.time, frame.to_ndarray(format="gray").mean() > 60))
    with av.open(io.BytesIO(content)) as container:
        for frame in container.decode(audio=0):
            for n, part in enumerate(frame.to_ndarray()[0].reshape(-1, 128)):
                loud.append((frame.time + n * 128 / 24_000, np.abs(part).max() > 0.1))
    lit, loud = (begins(values) for values in (lit, loud))
    assert len(lit) == len(loud) == 6
    assert np.abs(np.subtract(lit, loud)).max() < 0.04


def begins(values):
    """Return the times when something begins that was not there before, for more than 200 ms."""
    found, last = [], -1.0
    for moment, is_there in values:
        if is_there and moment - last > 0.2:
            found.append(moment)
        last = moment if is_there else last
    return found


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([b"\0\0"], "begin with a JSON text"),
        (["{"], "begin with a JSON text"),
        (["[]"], "valid dictionary"),
        (['{"portrait": "/etc/passwd"}'], "no such portrait"),
        (['{"size": 100000}'], "size: "),
        (['{"unknown": 1}'], "unknown: "),
        (['{"sample_rate": 24001}'], "multiple of 25"),
        (['{"fps": 1000}'], "fps: "),
        ([None, b"\0\0\0"], "3 bytes"),
        ([None, bytes(1_500_000)], "is the most"),
        ([None, "{"], "not JSON"),
        ([None, '{"type": "open"}'], "unknown message 'open'"),
        ([None, '{"type": "say", "text": ""}'], "say needs a text"),
    ],
)
def test_bad_messages_end_the_socket_with_a_reason(server, portrait, messages, reason):
    with connect(f"ws://127.0.0.1:{server[0]}/v1/avatar") as socket:
        for message in messages:
            start = json.dumps({"portrait": portrait, "size": 64})
            socket.send(start if message is None else message)
        errors = []
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                message = socket.recv(timeout=10)
                if isinstance(message, str):
                    errors.append(json.loads(message))
    assert errors[-1]["type"] == "error" and reason in errors[-1]["message"]
    assert closed.value.rcvd.code == 1008


def test_avatars_are_bounded_and_pages_of_others_refused(server, portrait):
    first, second = (opened(server, portrait)[0] for _ in range(2))
    with first, second:
        _, answer = opened(server, portrait)
        assert answer["type"] == "error" and "in use" in answer["message"]
    assert all_gone(server)
    socket, ready = opened(server, portrait)
    socket.close()
    assert ready["type"] == "ready"
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{server[0]}/v1/avatar", origin="http://evil.example").__enter__()


async def call(port, portrait, microphone, talk):
    """Connect like a browser, call `talk` with the channel and what arrives, and hang up."""
    connection = aiortc.RTCPeerConnection()
    connection.addTransceiver("video", direction="recvonly")
    if microphone:
        connection.addTrack(microphone)
    else:
        connection.addTransceiver("audio", direction="recvonly")
    channel = connection.createDataChannel("control")
    frames, events, tasks = {"video": [], "audio": []}, [], []
    opened = asyncio.Event()
    channel.on("open", opened.set)
    channel.on("message", lambda text: events.append((time.monotonic(), json.loads(text))))

    async def consume(track):
        while True:
            frame = await track.recv()
            value = (
                frame.to_ndarray(format="gray").mean() if track.kind == "video" else np.abs(frame.to_ndarray()).max()
            )
            frames[track.kind].append((float(frame.pts * frame.time_base), float(value)))

    connection.on("track", lambda track: tasks.append(asyncio.ensure_future(consume(track))))
    await connection.setLocalDescription(await connection.createOffer())
    offer = {"sdp": connection.localDescription.sdp, "type": "offer", "avatar": {"portrait": portrait, "size": 64}}
    async with httpx.AsyncClient() as client:
        answer = (await client.post(f"http://127.0.0.1:{port}/v1/avatar/offer", json=offer)).json()
    await connection.setRemoteDescription(aiortc.RTCSessionDescription(answer["sdp"], answer["type"]))
    try:
        await asyncio.wait_for(opened.wait(), 10)
        await talk(channel, frames, events)
    finally:
        for task in tasks:
            task.cancel()
        await connection.close()
    return frames, [event for _, event in events]


def test_aiortc_sees_and_hears_a_text_in_step(server, portrait, said):
    async def talk(channel, frames, events):
        await asyncio.sleep(0.5)
        channel.send(json.dumps({"type": "say", "text": "Hello you."}))
        while not any(event["type"] == "turn_ended" for _, event in events):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        channel.send("{")
        await asyncio.sleep(0.1)

    frames, events = asyncio.run(asyncio.wait_for(call(server[0], portrait, None, talk), 30))
    assert [event["type"] for event in events] == ["speech_started", "turn_ended", "error"]
    assert len(frames["video"]) > 40 and len(frames["audio"]) > 75
    lit, loud = (next(moment for moment, value in frames[kind] if value > 100) for kind in ("video", "audio"))
    assert abs(lit - loud) < 0.05  # by the timestamps, which count from the first frame


class Tone(aiortc.MediaStreamTrack):
    """A microphone."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self._sent, self._begun = 0, time.monotonic()

    async def recv(self):
        await asyncio.sleep(max(self._begun + self._sent / 48_000 - time.monotonic(), 0))
        samples = (8_000 * np.sin((self._sent + np.arange(960)) / 20)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._sent, Fraction(1, 48_000)
        self._sent += 960
        return frame


def test_aiortc_hears_its_microphone_only_while_it_is_on(server, portrait):
    async def talk(channel, frames, events):
        await asyncio.sleep(0.6)
        assert not any(value > 100 for _, value in frames["audio"])
        channel.send('{"type": "microphone", "on": true}')
        await asyncio.sleep(1.5)
        channel.send('{"type": "microphone", "on": false}')
        while not any(event["type"] == "turn_ended" for _, event in events):
            await asyncio.sleep(0.05)

    frames, events = asyncio.run(asyncio.wait_for(call(server[0], portrait, Tone(), talk), 30))
    assert any(value > 1_000 for _, value in frames["audio"])
    assert [event["type"] for event in events] == ["speech_started", "turn_ended"]
    assert 0.8 < events[-1]["played_seconds"] < 2


@pytest.mark.parametrize(
    ("offer", "status"),
    [
        ({"sdp": "hello", "type": "offer"}, 422),
        ({"sdp": "", "type": "offer"}, 422),
        ({"sdp": "x" * 200_000, "type": "offer"}, 422),
        ({"sdp": "v=0", "type": "answer"}, 422),
        ({"type": "offer"}, 422),
        ({"sdp": "v=0", "type": "offer", "avatar": {"portrait": "../../etc/passwd"}}, 422),
    ],
)
def test_bad_offers_are_refused_and_leave_no_avatar(server, offer, status):
    answer = httpx.post(f"http://127.0.0.1:{server[0]}/v1/avatar/offer", json=offer, timeout=20)
    assert answer.status_code == status
    assert all_gone(server)


@pytest.fixture
def alive(monkeypatch):
    """Avatars and coders that are in memory, without the garbage collector, which comes late in a large process."""
    kept = weakref.WeakSet()
    for kind in (AvatarSession, Mp4Fragments):

        def keep(self, *arguments, made=kind.__init__, **named):
            kept.add(self)
            made(self, *arguments, **named)

        monkeypatch.setattr(kind, "__init__", keep)
    gc.disable()
    yield kept
    gc.enable()


@pytest.mark.parametrize("last", [b"\0\0\0", '{"type": "close"}', None])
@pytest.mark.parametrize("form", ["jpeg", "mp4"])
def test_nothing_is_kept_of_a_web_socket(server, portrait, alive, form, last):
    socket, _ = opened(server, portrait, format=form)
    with socket:
        socket.recv(timeout=10)
        assert len(alive) >= 1
        if last is not None:
            socket.send(last)
            with pytest.raises(ConnectionClosed):
                while True:
                    socket.recv(timeout=10)
    assert all_gone(server)
    assert freed(alive)


def test_nothing_is_kept_of_a_webrtc_connection(server, portrait, said, alive):
    async def talk(channel, frames, events):
        channel.send(json.dumps({"type": "say", "text": "Hello you."}))
        while not events:
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(call(server[0], portrait, Tone(), talk), 30))
    assert all_gone(server)
    assert freed(alive)


def freed(alive):
    end = time.monotonic() + 5
    while alive and time.monotonic() < end:
        time.sleep(0.02)
    return not alive


def test_closing_the_server_ends_sockets_and_threads(portrait):
    before = {thread.name for thread in threading.enumerate()}
    with running() as (port, app):
        file = io.BytesIO()
        Image.fromarray(np.full((240, 240, 3), 40, np.uint8)).save(file, "PNG")
        name = httpx.post(f"http://127.0.0.1:{port}/v1/portraits", content=file.getvalue()).json()["id"]
        socket, _ = opened((port, app), name)
        folder = app.state.avatars._folder
        assert len(list(folder.iterdir())) == 1
    with pytest.raises(ConnectionClosed):
        while True:
            socket.recv(timeout=5)
    assert not folder.exists()
    left = {thread.name for thread in threading.enumerate()} - before
    assert not [name for name in left if not name.startswith(("avatar", "asyncio"))], left
