"""The demo page in a real browser with a fake microphone; `pytest -m browser`, screenshots in $SCREENSHOTS."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.browser

pytest.importorskip("fastapi")
pytest.importorskip("aiortc")
playwright = pytest.importorskip("playwright.sync_api")
soundfile = pytest.importorskip("soundfile")

from running import running  # noqa: E402

from talkinghead.cli.demo import demo_inputs  # noqa: E402
from talkinghead.models import load_models  # noqa: E402

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


@pytest.fixture
def page(microphone):
    browser_file = shutil.which("chromium")
    if browser_file is None:
        pytest.skip("chromium is not installed")
    arguments = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
        "--autoplay-policy=no-user-gesture-required",
        "--no-sandbox",
    ]
    with (
        running(load_models("mini", "cpu")) as (port, _),
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=browser_file, args=arguments) as browser,
    ):
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
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
    for number in range(60):
        time.sleep(0.1)
        after = page.evaluate(STATS)
        if after["video"]["playout"] and after["audio"]["playout"]:  # unknown before the first reports
            apart.append(after["video"]["playout"] - after["audio"]["playout"])
        if number % 8 == 0:
            shoot(page, f"2 microphone {number:02}")
    assert after["video"]["decoded"] > before["video"]["decoded"] + 10
    assert after["audio"]["energy"] > before["audio"]["energy"] + 1e-4
    assert abs(np.median(apart)) < 80, apart  # milliseconds; single values jump by a frame
    assert page.evaluate("() => document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames") > 20
    page.uncheck("#microphone")
    wait_for(page, "turn ended", 30)
    page.fill("#text", "Hello, can you hear me?")
    page.click("text=Say")
    wait_for(page, "speech started", 60)
    for number in range(4):
        time.sleep(0.4)
        shoot(page, f"3 text {number}")
    page.click("#interrupt")
    wait_for(page, "interrupted", 30)
    shoot(page, "4 interrupted")
