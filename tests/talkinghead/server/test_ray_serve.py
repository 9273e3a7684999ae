"""Ray Serve, a local cluster of two replicas; one is killed while both have sessions."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

pytest.importorskip("fastapi")
ray = pytest.importorskip("ray")
serve = pytest.importorskip("ray.serve")

from replica import make_app  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

from talkinghead.server.ray_serve import deployment  # noqa: E402


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def port():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, sys.path)))
        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
        port = free_port()
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(deployment(make_app, 2, 0.5))
        yield port
        serve.shutdown()
        ray.shutdown()


class Client(threading.Thread):
    """Counts the frames of one session until it ends."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.frames, self.stop, self.end = 0, threading.Event(), None
        self._socket = connect(f"ws://127.0.0.1:{port}/v1/avatar", max_size=None, open_timeout=30).__enter__()
        file = io.BytesIO()
        Image.fromarray(np.full((240, 240, 3), 40, np.uint8)).save(file, "PNG")
        portrait = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        self._socket.send(json.dumps({"portrait": portrait, "size": 64}))
        assert json.loads(self._socket.recv(timeout=60))["type"] == "ready"

    def run(self):
        """Speak and listen."""
        try:
            while not self.stop.is_set():
                self.frames += isinstance(self._socket.recv(timeout=20), bytes)
                if self.frames % 25 == 0:
                    self._socket.send(np.full(12_000, 1_000, np.int16).tobytes())
        except (ConnectionClosed, TimeoutError) as error:
            self.end = error
        self._socket.close()


def test_sessions_of_a_replica_that_is_killed_end_at_once_and_the_others_go_on(port):
    clients = [Client(port) for _ in range(6)]
    for client in clients:
        client.start()
    time.sleep(2)
    found = subprocess.run(["pgrep", "-f", "ray::ServeReplica"], capture_output=True, text=True, check=True)
    replicas = [int(line) for line in found.stdout.split()]
    assert len(replicas) == 2
    os.kill(replicas[0], signal.SIGKILL)
    time.sleep(3)
    ended = [client for client in clients if client.end is not None]
    others = [client for client in clients if client.end is None]
    assert 0 < len(ended) < 6
    assert all(isinstance(client.end, ConnectionClosed) for client in ended)
    before = [client.frames for client in others]
    again = Client(port)  # at the other replica, or at a new one
    again.start()
    time.sleep(2)
    assert all(client.frames > count + 25 for client, count in zip(others, before, strict=True))
    assert again.frames > 25
    for client in (*others, again):
        client.stop.set()
        client.join(20)
