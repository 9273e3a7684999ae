"""Many jobs: files of them, workers that fail, workers that are killed."""

import json
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from batch_workers import FakeWorker
from PIL import Image

from talkinghead import cli
from talkinghead.batch import local, runner
from talkinghead.batch.jobs import read_jobs
from talkinghead.batch.local import run_local
from talkinghead.errors import InputNotFoundError, OptionError
from talkinghead.media.video import read_frames


@pytest.fixture
def folder(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)).save(tmp_path / "a.png")
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 8_000), 16_000)
    return tmp_path


@pytest.fixture
def quick_start(monkeypatch, quick_processes):
    monkeypatch.setattr(local, "_PROCESSES", quick_processes)


def write(folder, jobs, **more):
    (folder / "jobs.yaml").write_text(yaml.safe_dump({"jobs": jobs, **more}))
    return folder / "jobs.yaml"


def speak(name, **more):
    return {"source": "a.png", "audio": "a.wav", "output": f"{name}.mp4", **more}


SIX = [speak("a"), speak("b", seed=3), speak("broken", source="none.png"), speak("fragile"), speak("c"), speak("d")]


def check_six(folder, outcomes):
    outcomes = {Path(outcome.name).stem: outcome for outcome in outcomes}
    assert set(outcomes) == {"a", "b", "broken", "fragile", "c", "d"}
    assert "none.png: no such file" in outcomes.pop("broken").error
    assert not any(outcome.error for outcome in outcomes.values())
    assert [outcome.attempts for outcome in outcomes.values()].count(2) == 1 and outcomes["fragile"].attempts == 2
    assert all(len(list(read_frames(folder / f"{name}.mp4"))) == 13 for name in outcomes)
    assert not list(folder.glob(".*.part")) and not (folder / "broken.mp4").exists()


def test_one_broken_job_and_one_killed_worker_do_not_stop_the_rest(folder, quick_start):
    make_worker = partial(FakeWorker, folder / "made.txt")
    check_six(folder, run_local(read_jobs(write(folder, SIX)), 2, make_worker))
    assert (folder / "made.txt").read_text().count("worker") == 3  # two, and one in place of the killed one


def test_a_job_that_kills_every_worker_is_given_up(folder, quick_start):
    outcomes = list(run_local(read_jobs(write(folder, [speak("deadly"), speak("a")])), 1, FakeWorker))
    errors = {Path(outcome.name).stem: outcome.error for outcome in outcomes}
    assert "killed 2 times (exit code -9)" in errors["deadly"] and not errors["a"]


def test_on_ray(folder):
    ray = pytest.importorskip("ray")
    from talkinghead.batch.cluster import run_on_ray

    check_six(folder, run_on_ray(read_jobs(write(folder, SIX)), 2, "local", FakeWorker))
    assert not ray.is_initialized()


def test_without_ray(folder, monkeypatch):
    from talkinghead.batch.cluster import run_on_ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptionError, match=r"talkinghead\[ray\]"):
        list(run_on_ray(read_jobs(write(folder, SIX)), 2, "local", FakeWorker))


def test_wrong_settings_fail_when_their_turn_comes(folder):
    jobs = [speak("a", lip_strength=9), speak("b", colour="red"), speak("c", lip_strength="high"), speak("d")]
    errors = [outcome.error for outcome in map(FakeWorker().run, read_jobs(write(folder, jobs)))]
    assert "lip_strength is 9" in errors[0] and "no setting 'colour' of speak" in errors[1]
    assert "lip_strength 'high' is not a number" in errors[2] and not errors[3]


def test_defaults_and_names(folder):
    jobs = read_jobs(
        write(
            folder,
            [
                {**speak("a"), "name": "first"},
                {"command": "narrate", "source": "a.png", "script": "s.md", "output": "n.mp4"},
            ],
            defaults={"seed": 7},
        )
    )
    assert [job.name for job in jobs] == ["first", str(folder / "n.mp4")]
    assert [job.options().motion.seed for job in jobs] == [7, 7]
    assert jobs[1].inputs == (folder / "a.png", folder / "s.md") and jobs[1].options().voice.voice == "heart"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs: []", "line 1: jobs: is empty"),
        ("defaults: {}", "jobs is missing"),
        ("jobs: [", "no YAML can be read"),
        ("jobs: [7]", "jobs, item 1: must be a mapping of names to values, not text"),
        ("defaults: [1]\njobs: [{}]", "defaults: must be a mapping of names to values, not a list"),
        ("jobs: [{command: sing}]", "item 1: command 'sing' is none of speak, reenact, narrate"),
        ("jobs: [{command: [speak]}]", r"item 1: command \['speak'\] is none of speak, reenact, narrate"),
        ("jobs: [{source: a.png, output: a.mp4}]", "item 1: audio is missing"),
        ("jobs:\n- {source: [a], audio: b, output: c}", "line 2: jobs, item 1, source: must be text, not a list"),
        ("jobs: [{source: a, audio: b, output: c}]\nworkers: 2", "line 2: workers means nothing here"),
        ("jobs: [{source: a, audio: b, output: c}, {source: d, audio: e, output: ./x/../c}]", "two jobs write"),
        ("defaults: {tts_command: x}\njobs: [{source: a, audio: b, output: c}]", "may not name a program"),
        ('jobs: [{source: "a\\0", audio: b, output: c}]', "cannot be read or shown"),
    ],
)
def test_files_that_are_no_jobs(folder, text, message):
    (folder / "jobs.yaml").write_text(text)
    with pytest.raises(OptionError, match=message):
        read_jobs(folder / "jobs.yaml")


def test_files_are_named_as_seen_from_the_file_of_jobs(folder, monkeypatch):
    monkeypatch.chdir("/")
    narration = {"command": "narrate", "source": "a.png", "script": "s.md", "output": "n.mp4"}
    following = {"command": "reenact", "source": "a.png", "driver": "d.mp4"}
    jobs = [
        {**narration, "work": "w", "slides": "s", "background": "#123456", "reference": "r.mp4", "audio": "v.wav"},
        {**narration, "output": "o.mp4", "background": "wall.png", "model": "own", "work": "/w"},
        {**following, "output": "r.mp4", "save_template": "t.safetensors"},
        {**following, "output": "s.mp4", "audio": "source", "model": "base"},
    ]
    first, second, third, fourth = read_jobs(write(folder, jobs))
    options = first.options()
    assert (options.work.work, options.scene.slides) == (str(folder / "w"), str(folder / "s"))
    assert (options.motion.reference, options.voice.audio) == (str(folder / "r.mp4"), str(folder / "v.wav"))
    assert options.scene.background == "#123456" and second.options().scene.background == str(folder / "wall.png")
    assert second.model == str(folder / "own") and second.options().work.work == "/w" and fourth.model == "base"
    assert third.options().drive.save_template == str(folder / "t.safetensors")
    assert fourth.options().drive.audio == "source"


def test_a_part_of_a_video_is_dubbed(folder):
    (job,) = read_jobs(write(folder, [speak("a", **{"from": 1, "to": 2.5, "keep_background": 0.2})]))
    dub = job.options().dub
    assert (dub.start, dub.end, dub.keep_background) == (1, 2.5, 0.2)


def test_settings_of_other_commands_are_unknown(folder):
    (job,) = read_jobs(write(folder, [speak("a", camera="0")]))
    with pytest.raises(OptionError, match="no setting 'camera' of speak"):
        job.options()


def test_the_command_reports_every_job(folder, monkeypatch, capsys):
    monkeypatch.setattr(runner, "run_local", lambda jobs, _: map(FakeWorker().run, jobs))
    jobs = write(folder, [speak("a"), speak("broken", source="none.png")])
    with pytest.raises(SystemExit) as left:
        cli.main(["batch", str(jobs), "--workers", "2"])
    said = capsys.readouterr()
    assert left.value.code == 1 and "a.mp4: 13 frames in" in said.out
    assert "none.png: no such file" in said.err and "1 of 2 jobs failed" in said.err
    (folder / "a.mp4").unlink()
    cli.main(["batch", str(write(folder, [speak("a")])), "--json"])
    assert json.loads(capsys.readouterr().out)["frames"] == 13
    with pytest.raises(SystemExit):
        cli.main(["batch", str(folder / "none.yaml")])
    assert "none.yaml: no such file" in capsys.readouterr().err


def test_ctrl_c_says_what_is_there(folder, monkeypatch, capsys):
    def interrupted(jobs, _):
        yield FakeWorker().run(jobs[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_local", interrupted)
    with pytest.raises(SystemExit) as left:
        cli.main(["batch", str(write(folder, [speak("a"), speak("b")]))])
    assert left.value.code == 130 and "1 of 2 videos are there" in capsys.readouterr().err


def test_a_file_that_is_not_there(folder):
    with pytest.raises(InputNotFoundError):
        read_jobs(folder / "none.yaml")


def test_no_job_replaces_the_file_of_jobs(folder):
    os.link(write(folder, [speak("a")]), folder / "a.mp4")
    with pytest.raises(OptionError, match="its output is this file"):
        read_jobs(folder / "jobs.yaml")


def test_former_names_in_jobs_mean_the_same(folder):
    former = [
        {"image": "a.png", "audio": "a.wav", "output": "a.mp4", "crop": True},
        {"command": "narrate", "avatar": "a.png", "script": "s.md", "output": "n.mp4", "no_crop": True},
    ]
    present = [
        {"source": "a.png", "audio": "a.wav", "output": "a.mp4", "face_only": True},
        {"command": "narrate", "source": "a.png", "script": "s.md", "output": "n.mp4", "whole_picture_as_face": True},
    ]
    assert read_jobs(write(folder, former)) == read_jobs(write(folder, present))
