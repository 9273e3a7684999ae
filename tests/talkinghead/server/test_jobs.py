"""Videos as jobs, through a real server: progress, result, cancel, limits, and bad requests."""

import base64
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from fake_models import GrayPortrait
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("aiortc")
httpx = pytest.importorskip("httpx")
soundfile = pytest.importorskip("soundfile")

from running import running, stand_ins  # noqa: E402

from talkinghead.provenance.deny_list import hash_portrait  # noqa: E402


@pytest.fixture(scope="module")
def server():
    with running(max_upload_mb=0.3, max_seconds=2.0, patience=0.5, max_text=50) as (port, app):
        yield port, app


@pytest.fixture
def client(server):
    with httpx.Client(base_url=f"http://127.0.0.1:{server[0]}", timeout=20) as client:
        yield client


def picture(side=240):
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 40, np.uint8)).save(file, "PNG")
    return file.getvalue()


def voice(seconds=0.4):
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(int(16_000 * seconds)) / 5) / 2, 16_000, format="WAV", subtype="PCM_16")
    return file.getvalue()


def finished(client, job):
    for _ in range(400):
        job = client.get(f"/v1/jobs/{job['id']}").json()
        if job["state"] in {"done", "failed", "cancelled"}:
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def frames_of(content):
    with av.open(io.BytesIO(content)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_form_becomes_a_video_and_the_uploads_are_removed(client, server):
    options = json.dumps({"crop": {"face_only": True, "size": 64}, "motion": {"seed": 3}})
    files = {"portrait": picture(), "audio": ("../../etc/passwd", voice())}
    answer = client.post("/v1/speak", files=files, data={"options": options})
    assert answer.status_code == 202
    job = finished(client, answer.json())
    assert (job["state"], job["frames"], job["width"], job["error"]) == ("done", 10, 64, None)
    assert (job["done"], job["total"], job["stage"]) == (10, 10, "Rendering")
    assert frames_of(client.get(job["result"]).content) == 10
    folder = server[1].state.jobs.find(job["id"]).folder
    assert [file.name for file in folder.iterdir()] == ["result.mp4"]
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert not folder.exists() and client.get(f"/v1/jobs/{job['id']}").status_code == 404


def test_json_becomes_a_video_and_events_tell_the_progress(client):
    encoded = {"portrait": base64.b64encode(picture()).decode(), "audio": base64.b64encode(voice()).decode()}
    job = client.post("/v1/speak", json={**encoded, "options": {"crop": {"face_only": True, "size": 64}}}).json()
    with client.stream("GET", f"/v1/jobs/{job['id']}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        told = [json.loads(line.removeprefix("data: ")) for line in events.iter_lines() if line]
    assert told[-1]["state"] == "done" and told[-1]["id"] == job["id"]


def test_a_job_that_fails_says_why_without_paths_and_harms_no_other(client):
    files, options = {"portrait": picture(), "audio": voice()}, json.dumps({"crop": {"face": 7}})
    failed = finished(client, client.post("/v1/speak", files=files, data={"options": options}).json())
    assert failed["state"] == "failed" and failed["error"].startswith("portrait: ")
    assert "tmp" not in failed["error"]
    assert client.get(f"/v1/jobs/{failed['id']}/result").status_code == 409
    good = finished(client, client.post("/v1/speak", files={"portrait": picture(), "audio": voice()}).json())
    assert good["state"] == "done"


def test_the_description_has_examples(client):
    paths = client.get("/openapi.json").json()["paths"]
    content = paths["/v1/speak"]["post"]["requestBody"]["content"]
    assert content["application/json"]["example"]["options"]["motion"] == {"seed": 7}
    assert client.get("/").status_code == client.get("/docs").status_code == 200
    assert "talkinghead_jobs_total" in client.get("/metrics").text


def test_a_queue_has_a_bound_and_waiting_jobs_can_be_cancelled():
    class SlowPortrait(GrayPortrait):
        def render(self, portrait, x_d, dense_residual=None):
            time.sleep(0.2)
            return super().render(portrait, x_d)

    with running(stand_ins(portrait=SlowPortrait()), max_waiting=1) as (port, app):  # noqa: SIM117
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            files = {"portrait": picture(), "audio": voice(20)}
            answers = [client.post("/v1/speak", files=files) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [202, 202, 429, 429]
            assert answers[-1].headers["retry-after"] == "10"
            first, second = (answer.json()["id"] for answer in answers[:2])
            assert client.delete(f"/v1/jobs/{second}").status_code == 204
            assert client.get(f"/v1/jobs/{second}").status_code == 404
            assert client.delete(f"/v1/jobs/{first}").status_code == 204
            while client.get(f"/v1/jobs/{first}").status_code != 404:
                time.sleep(0.05)
            assert client.post("/v1/speak", files=files).status_code == 202
            folder = app.state.jobs._folder
    assert not folder.exists()  # with the job that was running


def test_a_token_is_needed_when_there_is_one():
    token = "a long secret word"
    with running(token=token) as (port, _), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert client.get("/metrics", params={"token": token}).status_code == 200


def damaged(content, at, replacement):
    return content[:at] + replacement + content[at + len(replacement) :]


BAD = {
    "huge": (413, {"files": {"portrait": picture(), "audio": bytes(400_000)}}),
    "nothing": (415, {}),
    "wrong type": (415, {"content": b"<xml/>", "headers": {"content-type": "text/xml"}}),
    "no form": (400, {"content": b"hello", "headers": {"content-type": "multipart/form-data"}}),
    "broken form": (422, {"content": b"--x\r\nhello", "headers": {"content-type": "multipart/form-data; boundary=x"}}),
    "no JSON": (400, {"content": b"{", "headers": {"content-type": "application/json"}}),
    "deep JSON": (400, {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}),
    "a list": (422, {"json": [1]}),
    "no audio": (422, {"files": {"portrait": picture()}}),
    "empty audio": (422, {"files": {"portrait": picture(), "audio": b""}}),
    "no picture": (422, {"files": {"portrait": b"no picture", "audio": voice()}}),
    "truncated picture": (422, {"files": {"portrait": picture()[:60], "audio": voice()}}),
    "no sound": (422, {"files": {"portrait": picture(), "audio": b"no sound"}}),
    "truncated sound": (422, {"files": {"portrait": picture(), "audio": voice()[:30]}}),
    "too long": (422, {"files": {"portrait": picture(), "audio": voice(2.5)}}),
    "wrong rate": (422, {"files": {"portrait": picture(), "audio": damaged(voice(), 24, bytes(4))}}),
    "half a sample": (422, {"files": {"portrait": picture(), "audio": voice()[:45]}}),
    "path": (422, {"json": {"portrait": "/etc/passwd", "audio": "/etc/passwd"}}),
    "relative path": (422, {"json": {"portrait": "../portrait.jpg", "audio": "AAAA"}}),
    "number": (422, {"json": {"portrait": 5, "audio": "AAAA"}}),
    "unknown field": (422, {"files": {"portrait": picture(), "audio": voice()}, "data": {"output": "x"}}),
    "too many files": (400, {"files": [("portrait", picture()), ("audio", voice()), ("audio", voice())]}),
    "options": (422, {"files": {"portrait": picture(), "audio": voice()}, "data": {"options": "[]"}}),
    "options no JSON": (400, {"files": {"portrait": picture(), "audio": voice()}, "data": {"options": "{"}}),
    "unknown group": (422, {"json": {"portrait": "example", "audio": "AAAA", "options": {"edit": {}}}}),
    "path option": (
        422,
        {"json": {"portrait": "example", "audio": "AAAA", "options": {"motion": {"reference": "/etc/passwd"}}}},
    ),
    "range": (422, {"json": {"portrait": "example", "audio": "AAAA", "options": {"motion": {"lip_strength": 99}}}}),
    "type": (422, {"json": {"portrait": "example", "audio": "AAAA", "options": {"crop": {"size": "large"}}}}),
    "foreign page": (403, {"files": {"portrait": picture(), "audio": voice()}, "headers": {"origin": "http://evil"}}),
    "foreign host": (403, {"files": {"portrait": picture(), "audio": voice()}, "headers": {"host": "evil.example"}}),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_are_refused_clearly_and_leave_nothing(client, server, name):
    status, request = BAD[name]
    answer = client.post("/v1/speak", **request)
    assert answer.status_code == status, answer.text
    assert len(answer.json()["detail"]) > 10
    jobs = server[1].state.jobs
    kept = {job.folder for job in jobs._jobs.values()}
    assert set(jobs._folder.iterdir() if jobs._folder.exists() else []) <= kept


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"voice": {"tts_command": "sh {text} {wav}"}}, "no option 'tts_command'"),
        ({"voice": {"voice": "piper:/etc/passwd"}}, "built-in voices"),
        ({"scene": {"background": "/etc/passwd"}}, "no option 'background'"),
        ({"work": {"work": "/tmp"}}, "'work' is none of"),
    ],
)
def test_narrations_open_no_files_and_run_no_commands(client, options, reason):
    answer = client.post("/v1/narrate", json={"portrait": "example", "script": "Hello.", "options": options})
    assert answer.status_code == 422 and reason in answer.json()["detail"]


def test_long_texts_unknown_jobs_and_wrong_methods(client):
    assert client.post("/v1/narrate", json={"portrait": "example", "script": "x" * 51}).status_code == 413
    for method, path in (("GET", "/v1/jobs/none"), ("DELETE", "/v1/jobs/..%2f..%2fetc"), ("GET", "/v1/jobs/x/result")):
        assert client.request(method, path).status_code == 404
    assert client.get("/v1/speak").status_code == 405


def raw(port, *parts, pause=0.0):
    """Send bytes as they are, and return the status line."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        return connection.makefile("rb").readline()


HEAD = b"POST /v1/speak HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_slow_and_endless_requests_are_ended(server):
    port = server[0]
    assert b" 408 " in raw(port, HEAD + b"Content-Length: 1000\r\n\r\n{")
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    assert b" 413 " in raw(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 6)
    assert b" 413 " in raw(port, HEAD + b"Content-Length: 99999999999\r\n\r\n")
    assert b" 400 " in raw(port, HEAD + b"Content-Length: -5\r\n\r\n")


def test_a_client_that_leaves_in_the_middle_leaves_nothing(server, client):
    port, app = server
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
    time.sleep(0.3)
    kept = {job.folder for job in app.state.jobs._jobs.values()}
    assert set(app.state.jobs._folder.iterdir()) <= kept
    assert client.get("/healthz").status_code == 200


def test_many_requests_at_once_and_no_lost_threads(server, client):
    before = threading.active_count()
    with ThreadPoolExecutor(16) as pool:
        states = list(pool.map(lambda _: client.get("/healthz").status_code, range(200)))
    assert set(states) == {200}
    assert threading.active_count() <= before + 42  # the pool of threads that answers is bounded


def test_denied_portraits_are_refused(tmp_path):
    portrait = Image.open(io.BytesIO(picture()))
    entry = next(hash_portrait(np.array(portrait), stand_ins().faces))
    (tmp_path / "denied.txt").write_text(f"{entry}\n")
    with running(deny_list=str(tmp_path / "denied.txt")) as (port, _), httpx.Client(timeout=20) as client:
        client.base_url = f"http://127.0.0.1:{port}"
        job = client.post("/v1/speak", files={"portrait": picture(), "audio": voice()}).json()
        said = finished(client, job)
    assert said["state"] == "failed" and "deny list" in said["error"]
