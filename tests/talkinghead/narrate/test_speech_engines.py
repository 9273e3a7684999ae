"""Voices: the offline one, commands, and what can go wrong."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from talkinghead.errors import OptionError
from talkinghead.media.tempo import change_tempo
from talkinghead.narrate.errors import ScriptError, SpeechError
from talkinghead.narrate.options import VoiceOptions
from talkinghead.narrate.script import Line, Role, Script, Slot
from talkinghead.narrate.speech import RATE, open_voices, speak_lines
from talkinghead.narrate.voices import open_voice
from talkinghead.narrate.work import WorkFolder


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
        (command("import sys; open(sys.argv[2],'w').write('no sound')"), "no sound that can be read"),
    ],
)
def test_commands_that_fail(tmp_path, spoken, message):
    read = Script(tmp_path / "a.txt", (Line("Hello."),))
    with pytest.raises(SpeechError, match=message), WorkFolder(tmp_path / "work") as work:
        list(speak_lines(read, open_voices(read, VoiceOptions(tts_command=spoken)), 1.0, work))
    assert not list((tmp_path / "work").glob("*.wav"))


def test_a_command_must_say_where(tmp_path):
    with pytest.raises(OptionError, match=r"must contain \{text\} and \{wav\}"):
        VoiceOptions(tts_command="mytts {text}")


def test_an_unknown_voice_names_its_speaker(tmp_path):
    roles = {"ada": Role("ada"), "ben": Role("ben", voice="nobody")}
    with pytest.raises(SpeechError, match="speaker ben: voice 'nobody'"):
        open_voices(Script(tmp_path, (), roles=roles), VoiceOptions())


def test_speakers_share_a_voice_and_lines_are_spoken_once(tmp_path, hum):
    roles = {"ada": Role("ada"), "ben": Role("ben")}
    read = Script(tmp_path, (Line("Hello.", "ada"), Line("", "ada"), Line("Hello.", "ben")), roles=roles)
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


def test_a_time_too_short_for_its_words(tmp_path, hum):
    lines = (Line("x" * 80, slot=Slot(0, 1)), Line("x", slot=Slot(1, 2)))
    read = Script(tmp_path / "a.srt", lines)
    with WorkFolder(tmp_path / "work") as work, pytest.raises(ScriptError, match=r"a\.srt: cue 1 is too short"):
        list(speak_lines(read, open_voices(read, VoiceOptions()), 1.0, work))


def test_tempo_keeps_the_pitch():
    tone = np.sin(np.arange(48_000) * 2 * np.pi * 440 / 48_000).astype(np.float32)
    fast = change_tempo(tone, 48_000, 1.5)
    assert len(fast) == pytest.approx(32_000, rel=0.02)
    spectrum = np.abs(np.fft.rfft(fast[4000:28_000]))
    assert spectrum.argmax() == pytest.approx(440 / 2, abs=2)
