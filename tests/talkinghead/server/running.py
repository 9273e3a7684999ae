"""A real server in a thread, with stand-ins for the networks."""

import asyncio
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace

import uvicorn
from fake_models import fake_models
from live_voice import LiveVoice

from talkinghead.server.app import create_app
from talkinghead.server.options import ServerOptions


class JobVoice(LiveVoice):
    """Also makes the motion of jobs."""

    def stream(self, chunks, *, seed=0):
        listener, motion = self.listen(), self.live(seed=seed)
        for chunk in chunks:
            for part in listener.push(chunk):
                yield from (motion.speak(frame, begins=False) for frame in part.split(1))
        for part in listener.finish():
            yield from (motion.speak(frame, begins=False) for frame in part.split(1))


def stand_ins(**parts):
    return replace(fake_models(), voice=JobVoice(), **parts)


@contextmanager
def running(models=None, **options):
    """Yield the port of a server, and its application."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(ServerOptions(**options), models or stand_ins(), lambda: server.should_exit)
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=5, server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.02)
        yield listener.getsockname()[1], app
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()
