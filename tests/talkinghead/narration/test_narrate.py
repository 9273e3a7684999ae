"""From a script to a video: resumed, changed, and the same whatever happened on the way."""

from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise

import av
import pytest
import soundfile
from fake_models import mesh_at
from gray_videos import gray_video

from talkinghead import MotionOptions, ProvenanceOptions, RenderOptions
from talkinghead.errors import ImageError, OutputError, OutputExistsError, VideoError
from talkinghead.face import Face
from talkinghead.media.audio import probe_sound
from talkinghead.media.video import read_frames
from talkinghead.narration import assembly, shot_renderer
from talkinghead.narration.errors import ScriptError, WorkFolderError
from talkinghead.narration.narrate import narrate
from talkinghead.narration.options import CaptionOptions, NarrationOptions, WorkOptions
from talkinghead.narration.work import WorkFolder

TEXT = "# One\n\nHello there. It is me.\n\n# Two\n\nThis is the end.\n"


@pytest.fixture
def make(tmp_path, hum, models, source):
    """Narrate a text and return the summary and the bytes of the video."""

    def make(text=TEXT, name="out.mp4", progress=lambda pictures, *_: pictures, **parts):
        (tmp_path / "script.md").write_text(text)
        parts.setdefault("render", RenderOptions(overwrite=True))
        parts.setdefault("provenance", ProvenanceOptions(c2pa=False))  # no two signatures have the same bytes
        summary = narrate(
            source,
            tmp_path / "script.md",
            tmp_path / name,
            options=NarrationOptions(**parts),
            model=models,
            progress=progress,
        )
        return summary, (tmp_path / name).read_bytes()

    return make


def clips(tmp_path, name="out.mp4"):
    return {file.name for file in (tmp_path / f"{name}.work").glob("*.mp4")}


def test_a_script_becomes_a_video_with_chapters_and_captions(tmp_path, make):
    summary, _ = make()
    assert (summary.width, summary.height, summary.fps) == (256, 192, 25) and not summary.notes
    assert len(list(read_frames(summary.file))) == summary.frames
    with av.open(str(summary.file)) as video:
        assert [chapter["metadata"]["title"] for chapter in video.chapters()] == ["One", "Two"]
        assert video.metadata["title"] == "One" and "AI-generated" in video.metadata["comment"]
    sound = probe_sound(summary.file)
    assert abs(sound.seconds - summary.frames / Fraction(25)) < Fraction(1, 25)
    captions = (tmp_path / "out.srt").read_text()
    assert all(sentence in captions for sentence in ("Hello there.", "It is me.", "This is the end."))
    assert (tmp_path / "out.vtt").exists()


def test_captions_hold_what_is_spoken_and_notes_what_is_not(tmp_path, make, hum):
    hum.reads = ("LATIN",)
    summary, _ = make("- [x] Say λόγος to ~~me~~ them[^1].\n\n[^1]: Not this.\n")
    assert hum.said == ["Say to them."] and "Say to them." in (tmp_path / "out.srt").read_text()
    assert len(summary.notes) == 1 and "Greek cannot be read by the voice" in summary.notes[0]
    with pytest.raises(ScriptError, match=r"sentence 2 .* is written in Greek"):
        make("Hello there. Γειά σου.", name="greek.mp4")
    assert hum.said == ["Say to them."]


def test_the_mouth_moves_while_it_speaks(make, models):
    """The stand-in shows the number of the shot's frame, so every shot begins anew."""
    summary, _ = make()
    counts = [batch for batch in models.portrait.batches if batch != RenderOptions.batch_size]
    assert sum(models.portrait.batches) == summary.frames and len(counts) <= 3


@pytest.mark.parametrize("stop", [1, 20, 60])
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(tmp_path, make, hum, stop):
    whole = make(name="whole.mp4")[1]
    spoken = len(hum.said)

    def interrupted(pictures, total, stage):
        yield from islice(pictures, stop)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(progress=interrupted)
    assert not (tmp_path / "out.mp4").exists() and not (tmp_path / "out.srt").exists()
    assert not list((tmp_path / "out.mp4.work").glob(".*.part"))
    summary, resumed = make()
    assert resumed == whole and len(hum.said) == 2 * spoken
    assert bool(summary.notes) == (stop > 28)  # the first shot has 28 frames


def test_a_changed_sentence_is_made_alone(tmp_path, make, hum):
    make()
    before, hum.said = clips(tmp_path), []
    summary, changed = make(TEXT.replace("It is me.", "It is not me at all."))
    assert hum.said == ["It is not me at all."] and len(clips(tmp_path) & before) == 2
    assert summary.notes == ("2 of 3 parts were reused from an earlier run",)
    assert changed == make(TEXT.replace("It is me.", "It is not me at all."), name="anew.mp4")[1]


def test_an_added_sentence_is_made_alone(tmp_path, make):
    make()
    before = clips(tmp_path)
    make(TEXT.replace("It is me.", "Well now. It is me."))
    assert before < clips(tmp_path) and len(clips(tmp_path)) == 4


@pytest.mark.parametrize(
    "parts",
    [
        {"motion": MotionOptions(seed=3)},
        {"render": RenderOptions(overwrite=True, crf=30)},
        {"captions": CaptionOptions(burn=True)},
    ],
)
def test_other_options_make_other_pictures(tmp_path, make, parts):
    make()
    before = clips(tmp_path)
    make(**parts)
    assert not clips(tmp_path) & before


def test_burnt_captions_are_shown_while_they_are_spoken(make):
    plain = [frame.picture for frame in read_frames(make(name="plain.mp4")[0].file)]
    burnt = [frame.picture for frame in read_frames(make(captions=CaptionOptions(burn=True))[0].file)]
    text = slice(-30, -8), slice(100, 150)
    captioned = [(a[text].astype(int) - b[text]).std() > 5 for a, b in zip(plain, burnt, strict=True)]
    assert captioned[:3] == [False] * 3 and captioned[10] and not captioned[-5]


@pytest.mark.parametrize("fps", ["30000/1001", "12"])
def test_any_frame_rate(make, fps):
    summary, _ = make(render=RenderOptions(fps=fps, overwrite=True))
    assert len(list(read_frames(summary.file))) == summary.frames
    assert abs(probe_sound(summary.file).seconds - summary.frames / summary.fps) < 1 / summary.fps


def test_webm(make):
    summary, whole = make(name="out.webm")
    assert len(list(read_frames(summary.file))) == summary.frames and whole == make(name="again.webm")[1]


def test_nothing_is_overwritten(tmp_path, make):
    (tmp_path / "out.srt").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"out\.srt"):
        make(render=RenderOptions())
    assert not (tmp_path / "out.mp4.work").exists()
    make(render=RenderOptions(), captions=CaptionOptions(captions=False))
    assert (tmp_path / "out.srt").read_text() == "mine"
    with pytest.raises(OutputError, match="give a name that ends in one of them"):
        make(name="out.avi")


def test_work_folders_of_others_are_left_alone(tmp_path, make):
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(WorkFolderError, match="has other files"):
        make(work=WorkOptions(work=str(folder)))
    (folder / "thesis.txt").rename(folder / "work.json")
    with pytest.raises(WorkFolderError, match="another version"):
        make(work=WorkOptions(work=str(folder)))
    (folder / "work.json").write_text('{"talkinghead_narration": 99}')
    with pytest.raises(WorkFolderError, match="its layout is 99, this one"):
        make(work=WorkOptions(work=str(folder)))
    with pytest.raises(WorkFolderError, match="no such folder"):
        make(work=WorkOptions(work=str(tmp_path / "none" / "work")))


def test_two_narrations_do_not_share_a_work_folder(tmp_path, make):
    with (
        WorkFolder(tmp_path / "out.mp4.work"),
        pytest.raises(WorkFolderError, match="another narration uses"),
    ):
        make()


def test_the_work_folder_holds_one_narration(tmp_path, make):
    make()
    make("Something else.")
    assert len(clips(tmp_path)) == 1
    sounds = list((tmp_path / "out.mp4.work").glob("*.wav"))
    assert len(sounds) == 2 and all(soundfile.info(file).samplerate == 48_000 for file in sounds)


def test_inputs_are_checked_before_anything_is_said(tmp_path, source, hum, models):
    (tmp_path / "none.png").write_text("no picture")
    for about in ("source: none.png", "background: none.png, source: source.png"):
        (tmp_path / "two.yaml").write_text(f"speakers: {{ada: {{}}, ben: {{{about}}}}}\nscript: [Hello.]")
        with pytest.raises((ImageError, VideoError), match=r"none\.png"):
            narrate(source, tmp_path / "two.yaml", tmp_path / "out.mp4", model=models)
    (tmp_path / "two.yaml").write_text("script: [{narrator: Hello., head_strength: 0.5}]")
    with pytest.raises(ScriptError, match=r"two\.yaml: still holds the head.*Hello"):
        options = NarrationOptions(motion=MotionOptions(still=True))
        narrate(source, tmp_path / "two.yaml", tmp_path / "out.mp4", options=options, model=models)
    assert not hum.said and not list(tmp_path.glob("out.mp4*"))


def test_head_motion_comes_from_a_reference_clip(make, models, monkeypatch):
    asked = []
    monkeypatch.setattr(assembly, "open_driver", asked.append)
    monkeypatch.setattr(assembly, "extract_reference", lambda clip, _: asked.append(clip))
    monkeypatch.setattr(shot_renderer, "hash_files", lambda files: str(list(files)))
    make(motion=MotionOptions(reference="clip.mp4"))
    assert asked == ["clip.mp4"] * 2


def test_a_video_speaks_and_is_played_to_and_fro(tmp_path, hum, video_models, models, monkeypatch):
    """Its frames go on from sentence to sentence, and a change makes the sentences after it anew."""
    monkeypatch.setattr(video_models.faces, "detect", lambda *_, **__: [Face(mesh_at(32, 24, 20), 40, 0.9)])
    networks = replace(models, faces=video_models.faces)
    source = gray_video(tmp_path / "s.mp4", [60 + 5 * n for n in range(25)])
    (tmp_path / "script.md").write_text("Hello there. It is me.\n")
    unmarked = ProvenanceOptions(watermark=False, c2pa=False)
    options = NarrationOptions(render=RenderOptions(overwrite=True), provenance=unmarked)
    made = narrate(source, tmp_path / "script.md", tmp_path / "out.mp4", options=options, model=networks)
    assert (made.width, made.height) == (64, 48) and made.frames > 40
    shown = [float(frame.picture[0, 0].mean()) for frame in read_frames(made.file)]
    assert max(shown) == pytest.approx(180, abs=3) and max(abs(a - b) for a, b in pairwise(shown)) < 13
    (tmp_path / "talk.yaml").write_text("speakers: {a: {}}\nscript: [{a: Hi., keyframes: {0.1: {smile: 1}}}]\n")
    with pytest.raises(ScriptError, match=r"keyframes animate a picture, .*s\.mp4 is a video"):
        narrate(source, tmp_path / "talk.yaml", tmp_path / "b.mp4", options=options, model=networks)
