"""The command, the Python and the job that the studio shows do what its call does."""

from pathlib import Path

import pytest
import yaml

import talkinghead
from talkinghead import (
    CaptionOptions,
    CropOptions,
    DriveOptions,
    DubOptions,
    EditOptions,
    MotionOptions,
    NarrationOptions,
    Options,
    ProvenanceOptions,
    RenderOptions,
    SceneOptions,
    Summary,
    VoiceOptions,
)
from talkinghead.batch.jobs import read_jobs
from talkinghead.cli.app import run
from talkinghead.studio.call import Call

CROP = CropOptions(face_only=True, size=128, box="1,2,30.5,40", crop_x=-0.25, rotate=False)
RENDER = RenderOptions(fps="30000/1001", crf=23)
MARKED = ProvenanceOptions(label="AI-generated", c2pa=False)
SPEAK = Options(crop=CROP, motion=MotionOptions(seed=7, still=True, reference="clip 2.mp4"), render=RENDER)
DUB = Options(dub=DubOptions(start=1.5, end=4, keep_background=0.25))
DRIVE = DriveOptions(region="lip+eyes", relative=False, anchor=3, trim="1:2.5", audio="none", source_smooth=1e-6)
NARRATION = NarrationOptions(
    crop=CROP,
    render=RENDER,
    voice=VoiceOptions(speed=1.25, sentence_pause=0.1),
    scene=SceneOptions(layout="portrait", slides="slides"),
    captions=CaptionOptions(captions=False, burn=True),
)
CALLS = [
    Call("speak", (Path("a b.png"), Path("it's.wav")), SPEAK),
    Call("speak", (Path("film.mp4"), Path("v.wav")), DUB),
    Call("speak", (Path("-p.png"), Path("v.wav")), Options(), model="base", voice_model="joyvasa"),
    Call("reenact", (Path("p.png"), Path("d.mp4")), Options(crop=CROP, drive=DRIVE, render=RENDER, provenance=MARKED)),
    Call("edit", (Path("p.png"),), Options(edit=EditOptions(smile=0.5, eyes_open=0.3, yaw=-12)), "out.png"),
    Call("narrate", (Path("p.png"), Path("t.md")), NARRATION, notes=("t.md holds the text",)),
]
IDS = [f"{call.command} {number}" for number, call in enumerate(CALLS)]


@pytest.fixture
def called(monkeypatch):
    """What the functions of the API were called with."""
    calls = []

    def stand_in(name):
        def function(*inputs, options=None, model="mini", voice_model="mini", progress=None):
            *files, output = (str(next(iter(each.values())) if isinstance(each, dict) else each) for each in inputs)
            names = [file.removeprefix("./") for file in files]
            calls.append((name, names, str(output), options or Options(), model, voice_model))
            return Summary(Path(output), 1, 1.0, 25, 2, 2, 1.0)

        return function

    for name in ("speak", "reenact", "edit", "narrate"):
        monkeypatch.setattr(talkinghead, name, stand_in(name), raising=False)
        home = "talkinghead.narration.narrate" if name == "narrate" else "talkinghead.api"
        monkeypatch.setattr(f"{home}.{name}", stand_in(name))
    return calls


def expected(call):
    return call.command, [file.name for file in call.inputs], call.output, call.options, call.model, call.voice_model


@pytest.mark.parametrize("call", CALLS, ids=IDS)
def test_the_command_line_gives_the_same_options(call, called):
    import shlex

    run(shlex.split(call.command_line(), comments=True)[1:])
    assert called == [expected(call)]


@pytest.mark.parametrize("command", ["speak", "reenact"])
def test_the_chosen_face_is_named_too(command, called, monkeypatch):
    seen, made = [], Summary(Path(), 1, 1.0, 25, 2, 2, 1.0)
    monkeypatch.setattr(f"talkinghead.api.{command}", lambda *given, **_: seen.append(given[1]) or made)
    call = Call(command, (Path("p.png"), Path("d.mp4")), Options(crop=CropOptions(face=1)))
    run(call.command_line().split()[1:])
    assert {number: str(file) for number, file in seen[0].items()} == {1: "d.mp4"}


@pytest.mark.parametrize("call", CALLS, ids=IDS)
def test_the_python_gives_the_same_options(call, called):
    exec(compile(call.python(), "shown", "exec"), {})
    assert called == [expected(call)]


@pytest.mark.parametrize("call", [each for each in CALLS if each.command != "edit"])
def test_the_job_gives_the_same_options(call, tmp_path):
    (tmp_path / "jobs.yaml").write_text(yaml.safe_dump({"jobs": [call.job("one.mp4")]}))
    (job,) = read_jobs(tmp_path / "jobs.yaml")
    assert (job.command, [file.name for file in job.inputs]) == expected(call)[:2]
    assert (job.model, job.voice_model) == (call.model, call.voice_model)
    options = job.options()
    for name in ("crop", "motion", "drive", "render", "voice", "captions"):
        if hasattr(options, name) and name != "motion":
            assert getattr(options, name) == getattr(call.options, name)


def test_nothing_is_said_about_defaults():
    call = Call("speak", (Path("/tmp/x/p.png"), Path("/tmp/y/v.wav")), Options())
    assert call.command_line() == "talkinghead speak p.png v.wav -o out.mp4"
    assert call.python() == (
        'import talkinghead\n\nsummary = talkinghead.speak(\n    "p.png",\n    "v.wav",\n    "out.mp4",\n)'
    ).replace('"', "'")
