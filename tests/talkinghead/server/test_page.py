"""The demo page in a real browser with a fake microphone; `pytest -m browser`, screenshots in $SCREENSHOTS."""

import logging
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.browser

pytest.importorskip("fastapi")
pytest.importorskip("aiortc")
playwright = pytest.importorskip("playwright.sync_api")
soundfile = pytest.importorskip("soundfile")

from PIL import Image  # noqa: E402
from running import running, stand_ins  # noqa: E402

from talkinghead.cli.demo import demo_inputs  # noqa: E402
from talkinghead.models import load_models  # noqa: E402
from talkinghead.server import avatars  # noqa: E402

logger = logging.getLogger(__name__)

STATS = """async () => {
  const found = {};
  for (const report of (await window.connection.getStats()).values()) {
    if (report.type === "inbound-rtp") {
      const frames = { decoded: report.framesDecoded, energy: report.totalAudioEnergy };
      found[report.kind] = { ...frames, playout: report.estimatedPlayoutTimestamp };
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def microphone(tmp_path_factory):
    """Two seconds of silence, then the voice that ships."""
    samples, rate = soundfile.read(demo_inputs().voice)
    file = tmp_path_factory.mktemp("microphone") / "voice.wav"
    soundfile.write(file, np.concatenate([np.zeros(2 * rate), samples]), rate, subtype="PCM_16")
    return file


@contextmanager
def opened(models, *arguments):
    """Yield the demo page of a server."""
    browser_file = shutil.which("chromium")
    if browser_file is None:
        pytest.skip("chromium is not installed")
    arguments = [*arguments, "--autoplay-policy=no-user-gesture-required", "--no-sandbox"]
    with (
        running(models) as (port, _),
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=browser_file, args=arguments) as browser,
    ):
        page = browser.new_page(bypass_csp=True)  # for the worklet that listens
        page.goto(f"http://127.0.0.1:{port}/")
        yield page


@pytest.fixture
def page(microphone):
    fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with opened(load_models("mini", "cpu"), *fake, f"--use-file-for-fake-audio-capture={microphone}") as page:
        yield page


def shoot(page, name):
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def wait_for(page, text, seconds):
    page.wait_for_function(
        "text => document.getElementById('state').textContent === text", arg=text, timeout=1000 * seconds
    )


def test_the_page_shows_a_portrait_that_speaks_the_microphone_and_a_text(page):
    shoot(page, "0 page")
    page.click("#connect")
    wait_for(page, "connected", 60)
    page.wait_for_function("() => document.getElementById('video').videoWidth > 0", timeout=20_000)
    time.sleep(2)
    before = page.evaluate(STATS)
    shoot(page, "1 idle")
    page.check("#microphone")
    wait_for(page, "speech started", 30)
    apart = []
    for number in range(120):
        time.sleep(0.1)
        after = page.evaluate(STATS)
        if after["video"]["playout"] and after["audio"]["playout"]:  # unknown before the first reports
            apart.append(after["video"]["playout"] - after["audio"]["playout"])
        if number % 16 == 0:
            shoot(page, f"2 microphone {number:02}")
    assert after["video"]["decoded"] > before["video"]["decoded"] + 10
    assert after["audio"]["energy"] > before["audio"]["energy"] + 1e-4
    logger.info("picture ahead of sound, ms: %s", np.round(apart))
    assert abs(np.median(apart[len(apart) // 2 :])) < 80  # single values jump by a frame; in step after some seconds
    assert page.evaluate("() => document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames") > 20
    page.uncheck("#microphone")
    wait_for(page, "turn ended", 30)
    page.fill("#text", "Hello, can you hear me? " + "I would go on for a long time if nobody interrupted me. " * 4)
    page.click("#say button:text-is('Say')")
    wait_for(page, "speech started", 60)
    for number in range(4):
        time.sleep(0.4)
        shoot(page, f"3 text {number}")
    page.click("#interrupt")
    wait_for(page, "interrupted", 30)
    shoot(page, "4 interrupted")


WATCH = """async () => {
  window.seen = [];  // [milliseconds when it is shown, brightness, RTP timestamp]
  window.heard = [];  // [seconds of the audio clock, loudness]
  window.clocks = [];  // [seconds of the audio clock, milliseconds], of the same moments
  const video = document.getElementById("video");
  const context = new OffscreenCanvas(8, 8).getContext("2d", { willReadFrequently: true });
  const look = (now, frame) => {
    context.drawImage(video, 0, 0, 8, 8);
    seen.push([frame.expectedDisplayTime, context.getImageData(4, 4, 1, 1).data[0], frame.rtpTimestamp]);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  const audio = new AudioContext({ latencyHint: "interactive" });
  const worklet = `registerProcessor("listener", class extends AudioWorkletProcessor {
    process([[samples]]) {
      if (samples) this.port.postMessage([currentTime, Math.max(...samples)]);
      return true;
    }
  })`;
  await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([worklet], { type: "text/javascript" })));
  const listener = new AudioWorkletNode(audio, "listener");
  listener.port.onmessage = ({ data }) => heard.push(data);
  audio.createMediaStreamSource(video.srcObject).connect(listener).connect(audio.destination);
  setInterval(() => {
    const { contextTime, performanceTime } = audio.getOutputTimestamp();
    clocks.push([contextTime, performanceTime]);
  }, 100);
}"""


def rises(times, values, threshold):
    """Return when values rise above a threshold after half as long as a pause below it."""
    found, quiet_since = [], times[0]
    for time_, value in zip(times, values, strict=True):
        if value > threshold and time_ - quiet_since > 150:
            found.append(time_)
        if value > threshold:
            quiet_since = time_
    return np.array(found)


def test_sound_and_picture_are_less_than_80_ms_apart(tmp_path, monkeypatch):
    """Bursts of sound, during which the stand-in for the portrait is bright, as the browser shows and plays them."""
    pauses = np.random.default_rng(0).integers(8, 16, 24)
    bursts = [np.concatenate([np.zeros(960 * pause), np.full(960 * 6, 0.5)]) for pause in pauses]
    samples = np.concatenate(bursts) * np.sin(np.arange(sum(map(len, bursts))) / 5)
    monkeypatch.setattr(avatars, "synthesize", lambda text: (samples.astype(np.float32), 24_000))
    Image.fromarray(np.full((240, 240, 3), 40, np.uint8)).save(tmp_path / "portrait.png")
    with opened(stand_ins()) as page:
        page.set_input_files("#portrait", tmp_path / "portrait.png")
        page.click("#connect")
        wait_for(page, "connected", 20)
        page.wait_for_function("() => document.getElementById('video').videoWidth > 0", timeout=20_000)
        page.evaluate(WATCH)
        time.sleep(12)  # the browser brings them in step by the first reports, by at most 80 ms a second
        page.fill("#text", "Beep.")
        page.click("#say button:text-is('Say')")
        wait_for(page, "turn ended", 60)
        shoot(page, "bursts")
        seen, heard, clocks = (np.array(page.evaluate(name)) for name in ("seen", "heard", "clocks"))
    offset = np.median(clocks[5:, 1] - 1000 * clocks[5:, 0])
    lit = rises(seen[:, 0], seen[:, 1], 80)
    loud = rises(1000 * heard[:, 0] + offset, heard[:, 1], 0.05)
    assert len(loud) == len(lit) == len(bursts)
    apart = lit - loud
    logger.info("picture after sound, ms: %s", apart.round().astype(int))
    assert np.quantile(np.abs(apart), 0.95) <= 80
