"""The page of the studio without a browser: it is built, and its handlers are called as the page calls them."""

import asyncio
import os

import numpy as np
import pytest
import soundfile
from fake_models import fake_models
from PIL import Image

gr = pytest.importorskip("gradio")

from pressing import find, listener, press  # noqa: E402

from talkinghead.studio.app import THEME, build, style  # noqa: E402
from talkinghead.studio.guard import Guard  # noqa: E402
from talkinghead.studio.studio import Studio  # noqa: E402


@pytest.fixture
def studio(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    made = Studio(tmp_path, fake_models())
    yield made
    made.close()


@pytest.fixture
def page(studio):
    return build(studio)


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "uploads" / "0a1b"
    folder.mkdir(parents=True)
    Image.new("RGB", (320, 240), "gray").save(folder / "two people.png")
    soundfile.write(folder / "voice.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 3200), 16_000)
    (folder / "bad.png").write_text("no picture")
    return folder


def shown(outputs):
    """The texts of what a button has shown."""
    return [str(each) for output in outputs for each in output if isinstance(each, str)]


def test_a_portrait_speaks(page, inputs):
    voice = str(inputs / "voice.wav")
    outputs = press(
        page,
        "Make it speak",
        Picture_or_video_of_a_face=str(inputs / "two people.png"),
        **{"Sound, or a video with sound": voice, "Which face? Click one, or choose its number": 1, "Crf": 30},
    )
    command = next(each["value"] for each in outputs[0] if isinstance(each, dict) and "talkinghead speak" in str(each))
    assert command == "talkinghead speak 'two people.png' voice.wav -o out.mp4 --face 1 --crf 30"
    player = shown(outputs)[-1]
    assert player.index("two%20people.png") < player.index("out.mp4")  # before, after
    assert "0.2 s, 320×240" in player


def test_a_bad_picture_is_the_command_lines_one_line(page, inputs):
    picture = str(inputs / "bad.png")
    outputs = press(page, "Make it speak", Picture_or_video_of_a_face=picture)
    assert "is missing: upload one" in shown(outputs)[-2]
    given = {"Sound, or a video with sound": str(inputs / "voice.wav"), "Picture or video of a face": picture}
    last = shown(press(page, "Make it speak", **given))[-2]
    assert 'role="alert"' in last and "bad.png" in last and str(inputs) not in last and "\n" not in last


def test_a_bad_upload_is_told_at_once(page, inputs):
    file = find(page, gr.File, "Picture or video of a face")[0]
    look = listener(page, file, "change").fn
    *_, message = look(str(inputs / "bad.png"))
    assert "bad.png" in message and 'role="alert"' in message
    assert look(None)[-1] == ""


def test_a_face_is_chosen_by_a_click(page, inputs):
    file = find(page, gr.File, "Picture or video of a face")[0]
    seen, _, face, message = listener(page, file, "change").fn(str(inputs / "two people.png"))
    assert message == "" and face["choices"] == [("0", 0), ("1", 1)] and face["value"] == 1
    assert (seen.at(80, 120), seen.at(240, 120), seen.at(160, 10)) == (0, 1, None)
    assert not np.array_equal(seen.drawn(0), seen.drawn(1))


def test_an_option_out_of_range_is_one_line(page, inputs):
    given = {"Sound, or a video with sound": str(inputs / "voice.wav")}
    outputs = press(page, "Make it speak", Picture_or_video_of_a_face=str(inputs / "two people.png"), Size="7", **given)
    assert "size" in shown(outputs)[-2] and "64 and 8192" in shown(outputs)[-2]


def test_nothing_of_other_hosts_is_named():
    assert not THEME._stylesheets and "http" not in "".join([style(), *THEME._font_css])
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"host": "127.0.0.1:7860"}, 200),
        ("/", {"host": "localhost:7860", "origin": "http://localhost:7860"}, 200),
        ("/", {"host": "evil.example"}, 403),
        ("/", {"host": "127.0.0.1:7860", "origin": "http://evil.example"}, 403),
        ("/gradio_api/file=http://elsewhere.example/x", {"host": "127.0.0.1:7860"}, 403),
    ],
)
def test_requests_of_other_pages_are_refused(path, headers, status):
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "headers": given}
    asyncio.run(Guard(app, local=True)(scope, None, send))
    assert sent[0]["status"] == status
    if status == 200:
        assert "default-src 'self'" in dict(sent[0]["headers"])[b"content-security-policy"].decode()
