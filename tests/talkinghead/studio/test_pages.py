"""The page of the studio without a browser: it is built, and its handlers are called as the page calls them."""

import asyncio
import os

import numpy as np
import pytest
import soundfile
import yaml
from fake_models import fake_models
from PIL import Image

gr = pytest.importorskip("gradio")

from pressing import REQUEST, find, listener, press  # noqa: E402

import talkinghead  # noqa: E402
from talkinghead import EditOptions, Options, Summary  # noqa: E402
from talkinghead.provenance.deny_list import DenyList, hash_portrait  # noqa: E402
from talkinghead.studio.app import THEME, build, style  # noqa: E402
from talkinghead.studio.batch import as_yaml  # noqa: E402
from talkinghead.studio.call import Call  # noqa: E402
from talkinghead.studio.edit import with_keyframe  # noqa: E402
from talkinghead.studio.examples import example  # noqa: E402
from talkinghead.studio.guard import Guard  # noqa: E402
from talkinghead.studio.studio import Studio  # noqa: E402


@pytest.mark.parametrize("name", ["portrait.jpg", "driving.mp4", "voice.flac", "script.md"])
def test_examples_ship(name):
    assert example(name).is_file()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def studio(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        made = Studio(folder, fake_models())
        yield made
        made.close()


@pytest.fixture(scope="module")
def page(studio):
    return build(studio)


@pytest.fixture(scope="module")
def inputs(folder):
    uploads = folder / "uploads" / "0a1b"
    uploads.mkdir(parents=True)
    Image.new("RGB", (320, 240), "gray").save(uploads / "two people.png")
    soundfile.write(uploads / "voice.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 3200), 16_000)
    (uploads / "bad.png").write_text("no picture")
    return uploads


def shown(outputs):
    """The texts of what a button has shown."""
    return [str(each) for output in outputs for each in output if isinstance(each, str)]


def commanded(outputs):
    """The command line that a button has shown."""
    values = [each.get("value") for each in outputs[0] if isinstance(each, dict)]
    return next(value for value in values if value and "import talkinghead" not in str(value))


def test_a_portrait_speaks(page, inputs):
    voice = str(inputs / "voice.wav")
    outputs = press(
        page,
        "Make it speak",
        Picture_or_video_of_a_face=str(inputs / "two people.png"),
        **{"Sound, or a video with sound": voice, "Which face? Click one, or choose its number": 1, "Crf": 30},
    )
    command = commanded(outputs)
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


def test_the_preview_follows_the_sliders(page, inputs):
    smile = next(each for each in find(page, gr.Slider, "Smile"))
    fn = next(fn for fn in page.fns.values() if (smile._id, "change") in fn.targets and fn.fn.__name__ == "show")

    def preview(**changed):
        given = {"Picture or video of a face": str(inputs / "two people.png"), **changed}
        return fn.fn(*(given.get(each.label, each.value) for each in fn.inputs))

    assert preview().startswith('<img class="preview"') and preview() == preview()
    assert preview() != preview(Smile=0.5)
    assert "silence takes no sliders" in preview(Smile=0.5, Silence=True)
    assert "bad.png" in preview(**{"Picture or video of a face": str(inputs / "bad.png")})


def test_sliders_become_keyframes():
    text = with_keyframe("", 0.5, EditOptions(smile=0.5))
    assert yaml.safe_load(text) == {0: {}, 0.5: {"smile": 0.5}}
    text = with_keyframe(text, 2.0, EditOptions(yaw=10))
    assert yaml.safe_load(text) == {0: {}, 0.5: {"smile": 0.5}, 2: {"smile": 0.0, "yaw": 10.0}}


def test_keyframes_make_a_video(page, inputs):
    given = {"Keyframes": "0: {}\n0.2: {smile: 1}\n", "Crf": 30}
    outputs = press(page, "Save the edit", Picture_or_video_of_a_face=str(inputs / "two people.png"), **given)
    assert "out.mp4" in shown(outputs)[-1] and "0.2 s" in shown(outputs)[-1]


def test_a_script_has_an_outline_before_it_is_narrated(page, studio, inputs):
    script = find(page, gr.Textbox, "Script in Markdown")[0]
    show = listener(page, script, "change").fn
    outline = show("# One\n\nSome <b>words</b> & more.\n\n# Two\n\nLast.", None)
    assert "2 chapters" in outline and "<h4>One</h4>" in outline and "&amp; more" in outline
    assert "has no slide" in show("# One\n\nA.\n\n# Two\n\nB.", [str(inputs / "two people.png")])
    assert show("", None) == "" and not list(studio.folder.glob("tmp*"))


def test_a_narration_gets_its_script_and_slides(page, inputs, monkeypatch):
    seen = {}

    def narrate(source, script, output, *, options, model, progress):
        seen.update(script=script.read_text(), slides=sorted(os.listdir(options.scene.slides)))
        output.write_bytes(b"")
        return Summary(output, 1, 1.0, 25, 2, 2, 1.0)

    monkeypatch.setattr(talkinghead, "narrate", narrate, raising=False)
    picture = str(inputs / "two people.png")
    given = {"Picture of the speaker": picture, "Slides, one for each chapter": [picture, picture]}
    outputs = press(page, "Narrate", **given, **{"Script in Markdown": "# One\n\nHi."})
    assert seen == {"script": "# One\n\nHi.", "slides": ["001.png", "002.png"]}
    command = next(
        each["value"] for each in outputs[0] if isinstance(each, dict) and "talkinghead narrate" in str(each)
    )
    assert command.endswith("talkinghead narrate 'two people.png' script.md -o out.mp4 --slides slides")
    last = shown(press(page, "Narrate", **given, **{"Script in Markdown": " "}))[-2]
    assert "the script is missing" in last


def test_the_queue_makes_every_picture_speak_with_every_voice(page, inputs):
    add = listener(page, find(page, gr.Button, "Add every picture with every voice")[0], "click").fn
    queue, said = add([], [str(inputs / "bad.png"), str(inputs / "two people.png")], [str(inputs / "voice.wav")])
    assert said == "" and [call.inputs[0].name for call in queue] == ["bad.png", "two people.png"]
    file = yaml.safe_load(as_yaml(queue))
    assert [job["output"] for job in file["jobs"]] == ["001-bad.mp4", "002-two people.mp4"]
    make = listener(page, find(page, gr.Button, "Make all")[0], "click").fn

    async def outputs():
        return [each async for each in make(queue, REQUEST)]

    *_, status, results = asyncio.run(outputs())[-1]
    assert "1 of 2 jobs are done" in status
    assert "bad.png" in results and 'role="alert"' in results and "<details>" in results
    assert "missing" in add(queue, None, None)[1]


def test_a_text_is_read_by_the_offline_voice(page, inputs, monkeypatch):
    monkeypatch.setattr(
        talkinghead, "narrate", lambda *given, **_: Summary(given[2], 1, 1.0, 25, 2, 2, 1.0), raising=False
    )
    given = {"Picture or video of a face": str(inputs / "two people.png"), "Voice": "A text", "Text, in English": "Hi."}
    command = commanded(press(page, "Make it speak", **given))
    assert command.endswith("talkinghead narrate 'two people.png' text.txt -o out.mp4 --no-captions")


def test_a_file_is_verified(page, inputs):
    look = listener(page, find(page, gr.File, "File to look at")[0], "change").fn
    said, _, command, _ = look(str(inputs / "two people.png"))
    assert "two people.png: nothing says that it is generated" in said and str(inputs) not in said
    assert command == "talkinghead verify 'two people.png'"


def test_a_portrait_on_the_deny_list_is_refused(folder, inputs, tmp_path):
    picture = inputs / "two people.png"
    denied = DenyList(tuple(hash_portrait(picture, fake_models().faces)))
    studio = Studio(tmp_path, fake_models(), denied)
    for use in (lambda: studio.load(Call("edit", (picture,), Options())), lambda: studio.find_faces(str(picture))):
        with pytest.raises(talkinghead.PortraitError, match="deny list"):
            use()
    studio.close()
