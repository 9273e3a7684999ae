"""Voices: the offline one, commands, and what can go wrong."""

import contextlib
import fcntl
import re
import signal
import sys
import threading
import time
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from talkinghead.errors import OptionError
from talkinghead.media.tempo import change_tempo
from talkinghead.narration import tts_command
from talkinghead.narration.errors import SpeechError
from talkinghead.narration.options import VoiceOptions
from talkinghead.narration.read import read_script
from talkinghead.narration.script import Line, Script, Slot, Speaker
from talkinghead.narration.speech import RATE, open_voices, speak_lines
from talkinghead.narration.timeline import late_notes, lay_out
from talkinghead.narration.tts_command import CommandEngine
from talkinghead.narration.voices import open_voice
from talkinghead.narration.work import WorkFolder


def command(code):
    return f'{sys.executable} -c "{code}" {{text}} {{wav}}'


def test_hibari_speaks_offline_and_always_the_same(tmp_path):
    voice = open_voice("heart")
    for name in ("a.wav", "b.wav"):
        voice.say("Hello there.", tmp_path / name)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    samples, rate = soundfile.read(tmp_path / "a.wav")
    assert 0.5 < len(samples) / rate < 2 and np.abs(samples).max() > 0.1


@pytest.mark.parametrize("name", ["nobody", "espeak:en", "hibari:"])
def test_unknown_voices(name):
    with pytest.raises(SpeechError, match=name):
        open_voice(name)


@pytest.mark.parametrize(("name", "package"), [("kokoro:af_heart", "kokoro"), ("piper:a.onnx", "piper-tts")])
def test_engines_that_are_not_installed(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, name.partition(":")[0], None)
    with pytest.raises(SpeechError, match=f"pip install {package}"):
        open_voice(name)


def test_kokoro_is_asked_in_the_language_of_the_voice(monkeypatch, tmp_path):
    asked = []

    def pipeline(lang_code):
        asked.append(lang_code)
        return lambda text, voice: [(text, voice, np.full(2400, 0.1)), (text, voice, np.full(2400, 0.2))]

    monkeypatch.setitem(sys.modules, "kokoro", SimpleNamespace(KPipeline=pipeline))
    open_voice("kokoro:bf_emma").say("Hello.", tmp_path / "a.wav")
    samples, rate = soundfile.read(tmp_path / "a.wav")
    assert asked == ["b"] and rate == 24_000 and len(samples) == 4800


def test_any_command_speaks(tmp_path, monkeypatch):
    code = (
        "import sys,wave; w=wave.open(sys.argv[2],'wb'); w.setparams((1,2,8000,0,'NONE','')); "
        "w.writeframes(bytes(2000*len(sys.argv[1])))"
    )
    voice = open_voice("", command(code))
    voice.say('It\'s "quoted"; $HOME', tmp_path / "a.wav")
    assert soundfile.info(tmp_path / "a.wav").frames == 1000 * len('It\'s "quoted"; $HOME')


@pytest.mark.parametrize(
    ("spoken", "message"),
    [
        (command("import sys; sys.exit('no such language')"), "failed with code 1 .*no such language"),
        (command("pass"), "wrote nothing for 'Hello.'"),
        ("/no/such/program {text} {wav}", "cannot be started"),
        ("mytts '{text} {wav}", "cannot be read"),
        (command("import sys; open(sys.argv[2],'w').write('no sound')"), "cannot be read as sound"),
        (command("import sys,os; os.mkdir(sys.argv[2])"), "made a folder or a pipe for 'Hello.'"),
        (command("import sys,os; os.mkfifo(sys.argv[2])"), "made a folder or a pipe for 'Hello.'"),
        (
            command("import sys; sys.stderr.write('x'*3000000); sys.exit(1)"),
            r"failed with code 1 for 'Hello.' \(x{120}\)",
        ),
        (command("import os,sys; os.write(2,bytes([27,0,255])*9+b'[no'); sys.exit(1)"), r"code 1 [^\x00\x1b]*\[no\)"),
        (command("import os; os.kill(os.getpid(),9)"), "failed with code -9"),
        (f"{sys.executable} {{text}}\\0{{wav}}", "failed|cannot be started"),
    ],
)
def test_commands_that_fail(tmp_path, spoken, message):
    read = Script(tmp_path / "a.txt", (Line("Hello."),))
    with pytest.raises(SpeechError, match=message), WorkFolder(tmp_path / "work") as work:
        list(speak_lines(read, open_voices(read, VoiceOptions(tts_command=spoken)), 1.0, work))
    assert not list((tmp_path / "work").glob("*wav*"))


CHILD = """
import fcntl, subprocess, sys, time, wave
lock = open(sys.argv[3])
fcntl.flock(lock, fcntl.LOCK_EX)
subprocess.Popen(['sleep', '60'], pass_fds=[lock.fileno()])
time.sleep(float(sys.argv[4]))
with wave.open(sys.argv[2], 'wb') as sound:
    sound.setparams((1, 2, 8000, 0, 'NONE', ''))
    sound.writeframes(bytes(2 * 8000 * 70))
"""


@pytest.fixture
def with_child(tmp_path):
    """Return a voice whose program starts another that goes on, and whether that one is still there."""
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "lock").touch()

    def voice(seconds):
        return CommandEngine(f"{sys.executable} {tmp_path / 'child.py'} {{text}} {{wav}} {tmp_path / 'lock'} {seconds}")

    def ended():
        with (tmp_path / "lock").open() as lock:
            for _ in range(100):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
                time.sleep(0.05)
        return False

    return voice, ended


def test_a_command_leaves_nothing_running_and_does_not_speak_for_ever(tmp_path, with_child):
    voice, ended = with_child
    read = Script(tmp_path / "a.txt", (Line("Hello."),))
    with (
        WorkFolder(tmp_path / "work") as work,
        pytest.raises(SpeechError, match="more than 66 s of sound"),
    ):
        list(speak_lines(read, {"narrator": voice(0)}, 1.0, work))
    assert ended()


@pytest.fixture
def ctrl_c():
    """Let Ctrl-C interrupt, also where the tests run in the background and ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path, monkeypatch, with_child, interrupted):
    voice, ended = with_child
    if interrupted:
        threading.Timer(1, signal.raise_signal, [signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            voice(60).say("Hello.", tmp_path / "a.wav")
    else:
        monkeypatch.setattr(tts_command, "_SECONDS", 1)
        with pytest.raises(SpeechError, match="took more than 1 s"):
            voice(60).say("Hello.", tmp_path / "a.wav")
    assert ended()


def test_what_is_said_is_never_a_name_for_something_else(tmp_path):
    voice = CommandEngine(f"{sys.executable} -c 'import sys; sys.exit(sys.argv[1])' {{text}} {{wav}}")
    with pytest.raises(SpeechError, match=r"\(\$\(touch x\) \{wav\} \{text\} `id`\)"):
        voice.say("$(touch x) {wav} {text} `id`", tmp_path / "a.wav")


def test_a_command_must_say_where(tmp_path):
    with pytest.raises(OptionError, match=r"must contain \{text\} and \{wav\}"):
        VoiceOptions(tts_command="mytts {text}")


def test_an_unknown_voice_names_its_line(tmp_path):
    file = tmp_path / "a.yaml"
    for speakers in ("{ada: {source: a.yaml,\n voice: 5}}", "\n  ada: {voice: 5}\n  ben: {}"):
        file.write_text(f"speakers: {speakers}\nscript: [Hi.]\n")
        with pytest.raises(
            SpeechError, match=re.escape(f"{file}, line 2: speaker ada: voice '5' is not one of hibari's")
        ):
            open_voices(read_script(file), VoiceOptions())
    with pytest.raises(SpeechError, match=r"^voice 'nobody'"):  # not the script's mistake
        open_voices(Script(file, ()), VoiceOptions(voice="nobody"))


def test_speakers_share_a_voice_and_lines_are_spoken_once(tmp_path, hum):
    speakers = {"ada": Speaker("ada"), "ben": Speaker("ben")}
    read = Script(tmp_path, (Line("Hello.", "ada"), Line("", "ada"), Line("Hello.", "ben")), speakers=speakers)
    with WorkFolder(tmp_path / "work") as work:
        spoken = list(speak_lines(read, open_voices(read, VoiceOptions()), 1.0, work))
    assert hum.said == ["Hello."] and spoken[0].file == spoken[2].file and spoken[1].file is None
    assert soundfile.info(spoken[0].file).samplerate == RATE and float(spoken[0].seconds) == pytest.approx(
        0.3, abs=0.01
    )


def test_timed_lines_are_spoken_faster_until_they_fit(tmp_path, hum):
    lines = (Line("x" * 40, slot=Slot(0, 1)), Line("x" * 40, slot=Slot(1.5, 9)), Line("x", slot=Slot(9, 10)))
    read = Script(tmp_path / "a.srt", lines)
    with WorkFolder(tmp_path / "work") as work:
        spoken = list(speak_lines(read, open_voices(read, VoiceOptions()), 1.0, work))
    assert 1.2 < spoken[0].seconds <= 1.5 and float(spoken[1].seconds) == pytest.approx(2, abs=0.01)


def test_a_time_too_short_for_its_words_makes_the_next_line_late(tmp_path, hum):
    lines = (Line("x" * 80, slot=Slot(0, 1)), Line("x", slot=Slot(1, 2)), Line("x", slot=Slot(8, 9)))
    read = Script(tmp_path / "a.srt", lines)
    with WorkFolder(tmp_path / "work") as work:
        spoken = list(speak_lines(read, open_voices(read, VoiceOptions()), 1.0, work))
    assert float(spoken[0].seconds) == pytest.approx(2, abs=0.05)
    shots = lay_out(read, spoken, Fraction(25), VoiceOptions())
    assert [shot.start for shot in shots] == [0, pytest.approx(50, abs=1), 196]
    (note,) = late_notes(read, shots, Fraction(25))
    assert "a.srt: 1 of 3 cues are up to 1.0 s late, first the one at 0:00:01" in note


def test_a_voice_is_given_little_at_once(tmp_path, hum):
    read = Script(tmp_path / "a.txt", (Line("one two, " * 100),))
    with WorkFolder(tmp_path / "work") as work:
        (spoken,) = speak_lines(read, open_voices(read, VoiceOptions()), 1.0, work)
    assert len(hum.said) == 3 and max(map(len, hum.said)) <= 400 and " ".join(hum.said) == ("one two, " * 100).strip()
    assert float(spoken.seconds) == pytest.approx(sum(map(len, hum.said)) * 0.05, abs=0.1)
    assert not list((tmp_path / "work").glob("*raw*"))


def test_hibari_reads_what_it_was_not_made_for(tmp_path):
    voice = open_voice("heart")
    for text in ("9" * 40 + ",000", "1234567 " * 8, "(Yes.) Dr. No vs. Yes, i.e. μ and café."):
        voice.say(text, tmp_path / "a.wav")
        assert soundfile.info(tmp_path / "a.wav").frames > 24_000


def test_whatever_an_engine_raises_is_one_line(tmp_path, hum, monkeypatch):
    monkeypatch.setattr(hum, "say", lambda *_: {}[1])
    read = Script(tmp_path / "a.txt", (Line("Hello."),))
    with WorkFolder(tmp_path / "work") as work, pytest.raises(SpeechError, match=r"voice failed .*KeyError"):
        list(speak_lines(read, {"narrator": hum}, 1.0, work))


def test_tempo_keeps_the_pitch():
    tone = np.sin(np.arange(48_000) * 2 * np.pi * 440 / 48_000).astype(np.float32)
    fast = change_tempo(tone, 48_000, 1.5)
    assert len(fast) == pytest.approx(32_000, rel=0.02)
    spectrum = np.abs(np.fft.rfft(fast[4000:28_000]))
    assert spectrum.argmax() == pytest.approx(440 / 2, abs=2)
