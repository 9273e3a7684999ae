"""The studio in a real browser, as a person uses it; `pytest -m browser`, screenshots in $SCREENSHOTS."""

import asyncio
import os
import shutil
import socket
import sys
import threading
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

pytestmark = pytest.mark.browser

pytest.importorskip("gradio")
uvicorn = pytest.importorskip("uvicorn")
playwright = pytest.importorskip("playwright.sync_api")

from talkinghead.cli.demo import demo_inputs  # noqa: E402
from talkinghead.media.video import VideoWriter, read_frames  # noqa: E402
from talkinghead.models import load_models  # noqa: E402
from talkinghead.studio.examples import example  # noqa: E402
from talkinghead.studio.options import StudioOptions  # noqa: E402
from talkinghead.studio.run import create_app  # noqa: E402

SECONDS = 120_000
EXAMPLE = "Use the example: Grace M. Hopper"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def address(folder):
    """A studio with the real networks."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(StudioOptions(), folder, load_models("mini", "cpu"))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join(20)
    listener.close()


@pytest.fixture(scope="module")
def browser(folder):
    """Chromium, whose microphone hears the example voice."""
    file = shutil.which("chromium")
    if file is None:
        pytest.skip("chromium is not installed")
    voice, heard = demo_inputs().voice, folder / "heard.wav"
    soundfile.write(heard, *soundfile.read(voice), subtype="PCM_16")
    microphone = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    microphone.append(f"--use-file-for-fake-audio-capture={heard}")
    with (
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=file, args=["--no-sandbox", *microphone]) as launched,
    ):
        yield launched


@pytest.fixture
def inputs(tmp_path):
    with Image.open(demo_inputs().portrait) as portrait:
        two = Image.new("RGB", (portrait.width * 2, portrait.height))
        two.paste(portrait, (0, 0))
        two.paste(portrait, (portrait.width, 0))
    two.save(tmp_path / "two.jpg")
    (tmp_path / "bad.png").write_text("no picture")
    with VideoWriter(tmp_path / "film.mp4", Fraction(25), (256, 256)) as writer:
        for frame in islice(read_frames(example("driving.mp4")), 12):
            writer.write(frame.picture)
    soundfile.write(tmp_path / "short.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 8000), 16_000)
    return tmp_path


@pytest.fixture
def open_page(address, browser):
    """Open the studio in a browser of its own; nothing may be asked of other hosts, and no script may fail."""
    wrong, contexts = [], []

    def opened(**settings):
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((address, "data:", "blob:")) else wrong.append(asked.url),
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.set_default_timeout(30_000)
        page.goto(address)
        page.get_by_role("tab", name="Speak").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


def seen(page, role, name, **more):
    return page.get_by_role(role, name=name, **more).locator("visible=true").first


def use_example(page):
    """Choose the example portrait, and wait until its face has been looked at."""
    seen(page, "button", EXAMPLE).click()
    page.locator(".block:has-text('The source') img").locator("visible=true").first.wait_for()


def wait_for_files(page, count):
    """Wait until files have arrived."""
    listed = "n => [...document.querySelectorAll('.file-preview')].filter(each => each.offsetParent).length >= n"
    page.wait_for_function(listed, arg=count)


def upload(page, label, file):
    area = page.locator(".block", has=page.get_by_text(label, exact=True)).locator("visible=true").last
    area.locator("input[type=file]").set_input_files(file)


def finish(page):
    """Wait for a result, or for the reason why there is none."""
    answer = page.locator("[role=alert], [role=status]:text('Done.')").locator("visible=true").first
    answer.wait_for(timeout=SECONDS)
    assert answer.inner_text() == "Done."


SHOW = """() => Promise.all([...document.querySelectorAll("video")].filter(each => each.offsetParent).map(
  video => new Promise(shown => { video.onseeked = shown; video.currentTime = 0.2; setTimeout(shown, 3000); })
))"""


def shoot(page, name):
    if os.environ.get("SCREENSHOTS"):
        page.evaluate(SHOW)  # a moment in which something is said
        page.screenshot(path=str(Path(os.environ["SCREENSHOTS"]) / f"{name}.png"), full_page=True)


def files(folder):
    return [file for file in (folder / "runs").rglob("*") if file.is_file()]


def test_a_portrait_speaks_and_the_command_is_shown(open_page, inputs):
    page = open_page()
    use_example(page)
    upload(page, "Sound, or a video with sound", inputs / "short.wav")
    wait_for_files(page, 2)
    seen(page, "button", "Make it speak").click()
    finish(page)
    page.wait_for_function("() => document.querySelector('.after video').videoWidth > 0")
    assert "talkinghead speak portrait.jpg short.wav -o out.mp4" in page.locator(".cm-content").first.inner_text()
    shoot(page, "speak")


def test_a_recording_speaks(open_page):
    page = open_page()
    use_example(page)
    seen(page, "radio", "The microphone").check()
    page.locator(".record-button").locator("visible=true").click()
    page.wait_for_timeout(1500)
    page.locator(".stop-button").locator("visible=true").click()
    page.locator("[aria-label=Play], .play-pause-button").locator("visible=true").first.wait_for()
    shoot(page, "microphone")
    seen(page, "button", "Make it speak").click()
    finish(page)
    page.wait_for_function("() => document.querySelector('.after video').duration > 0.5")
    assert "audio.wav" in page.locator(".cm-content").first.inner_text()


@pytest.mark.parametrize("tab", ["Speak", "Reenact"])
def test_a_film_is_animated(open_page, inputs, tab):
    page = open_page()
    seen(page, "tab", tab).click()
    upload(page, "Picture or video of a face", inputs / "film.mp4")
    page.locator(".block:has-text('The source') img").locator("visible=true").first.wait_for()
    if tab == "Speak":
        upload(page, "Sound, or a video with sound", inputs / "short.wav")
        wait_for_files(page, 2)
        seen(page, "button", "Make it speak").click()
    else:
        seen(page, "button", "Use the example motion").click()
        wait_for_files(page, 2)
        seen(page, "button", "Reenact", exact=True).click()
    finish(page)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.before video, .after video')].filter(v => v.videoWidth).length >= 2"
    )
    shoot(page, f"film-{tab.lower()}")


def test_cancel_leaves_nothing(open_page, folder):
    page = open_page()
    use_example(page)
    seen(page, "button", "Use the example voice").click()
    wait_for_files(page, 2)
    seen(page, "button", "Make it speak").click()
    page.get_by_text("frames, about").wait_for(timeout=SECONDS)
    shoot(page, "progress")
    seen(page, "button", "Cancel").click()
    page.get_by_text("Nothing was kept").wait_for()
    assert not files(folder)


def test_two_browsers_do_not_disturb_each_other(open_page, inputs):
    pages = [open_page(), open_page()]
    for page in pages:
        use_example(page)
        upload(page, "Sound, or a video with sound", inputs / "short.wav")
        wait_for_files(page, 2)
    for page in pages:
        seen(page, "button", "Make it speak").click()
    for page in pages:
        finish(page)
    sources = {page.locator(".after video").get_attribute("src") for page in pages}
    assert len(sources) == 2


def test_a_bad_file_is_one_line(open_page, inputs):
    page = open_page()
    upload(page, "Picture or video of a face", inputs / "bad.png")
    line = page.get_by_role("alert").locator("visible=true").first
    line.wait_for()
    assert line.inner_text().startswith("bad.png: ") and "Traceback" not in page.content()
    shoot(page, "bad")


def test_a_face_is_picked_by_a_click_and_follows_a_motion(open_page, inputs):
    page = open_page()
    seen(page, "tab", "Reenact").click()
    upload(page, "Picture or video of a face", inputs / "two.jpg")
    seen(page, "radio", "1").wait_for()
    picture = page.locator("img[alt]").locator("visible=true").first
    box = picture.bounding_box()
    for share, face in ((0.25, "0"), (0.75, "1")):
        picture.click(position={"x": box["width"] / 2 + (share - 0.5) * shown_width(picture), "y": box["height"] * 0.3})
        page.wait_for_function(
            f"() => [...document.querySelectorAll('input[type=radio]:checked')].some(r => r.value === '{face}')"
        )
    seen(page, "button", "Use the example motion").click()
    wait_for_files(page, 2)
    seen(page, "textbox", "Trim").fill(":0.5")
    seen(page, "button", "Reenact", exact=True).click()
    finish(page)
    assert "--face 1" in page.locator(".cm-content").locator("visible=true").first.inner_text()
    shoot(page, "reenact")


def shown_width(picture):
    """The width of a picture inside an element that is wider."""
    return picture.evaluate("i => Math.min(i.width, i.height * i.naturalWidth / i.naturalHeight)")


def test_sliders_are_shown_at_once_and_remembered(open_page):
    page = open_page()
    seen(page, "tab", "Edit").click()
    use_example(page)
    preview = page.locator("#edit-preview img.preview")
    preview.wait_for(timeout=SECONDS)
    before = preview.get_attribute("src")
    number = seen(page, "spinbutton", "Smile")
    number.fill("0.8")
    number.press("Tab")
    page.wait_for_function("b => document.querySelector('#edit-preview img.preview').src !== b", arg=before)
    shoot(page, "edit")
    page.wait_for_timeout(1000)
    page.reload()
    seen(page, "tab", "Edit").click()
    page.wait_for_function("() => [...document.querySelectorAll('input[type=number]')].some(i => i.value === '0.8')")


SLIDE = """async times => {
  const sliders = [...document.querySelectorAll("input[type=range]")];
  const slider = sliders.find(each => each.offsetParent && /Smile/.test(each.ariaLabel));
  const preview = document.querySelector("#edit-preview"), took = [];
  for (let n = 0; n < times; n++) {
    const before = preview.querySelector("img.preview").src, begun = performance.now();
    slider.value = (n % 17) / 20 - 0.4;
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    while (preview.querySelector("img.preview")?.src === before) await new Promise(requestAnimationFrame);
    await preview.querySelector("img.preview").decode();
    took.push(performance.now() - begun);
  }
  return took;
}"""


def test_the_preview_follows_a_slider_at_once(open_page):
    page = open_page()
    seen(page, "tab", "Edit").click()
    use_example(page)
    page.locator("#edit-preview img.preview").wait_for(timeout=SECONDS)
    page.evaluate(SLIDE, 3)
    took = page.evaluate(SLIDE, 30)
    middle, late = np.percentile(took, [50, 95])
    sys.stderr.write(f"\npreview: {middle:.0f} ms in the median, {late:.0f} ms for 95 %\n")
    assert middle < 1000  # the goal is 300; beside other work it takes longer


def test_a_script_is_outlined_and_narrated(open_page):
    page = open_page()
    seen(page, "tab", "Narrate").click()
    use_example(page)
    seen(page, "textbox", "Script in Markdown").fill("# One\n\nHello there.\n\n# Two\n\nBye.")
    page.get_by_text("2 chapters").wait_for()
    seen(page, "textbox", "Size").fill("128")
    seen(page, "button", "Narrate", exact=True).click()
    finish(page)
    page.wait_for_function("() => [...document.querySelectorAll('.after track')].some(t => t.track.cues?.length === 2)")
    shoot(page, "narrate")


def test_the_queue_is_filled_and_made(open_page, inputs):
    page = open_page()
    use_example(page)
    upload(page, "Sound, or a video with sound", inputs / "short.wav")
    wait_for_files(page, 2)
    for _ in range(2):
        seen(page, "button", "Add to the batch queue").click()
        page.wait_for_timeout(1000)
    seen(page, "tab", "Batch queue").click()
    page.locator("td", has_text="portrait.jpg").nth(1).wait_for()
    seen(page, "button", "Make all").click()
    page.get_by_text("2 of 2 jobs are done").wait_for(timeout=SECONDS)
    shoot(page, "batch")


def test_it_works_by_keyboard_and_on_a_phone(open_page, inputs):
    page = open_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    example = seen(page, "button", EXAMPLE)
    example.focus()
    page.keyboard.press("Enter")
    wait_for_files(page, 1)
    seen(page, "radio", "A file").focus()
    for _ in range(2):  # each choice is a stop of its own
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    text = seen(page, "textbox", "Text, in English")
    text.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("Hi.")
    assert text.input_value() == "Hi."
    page.locator(".block:has-text('The source') img").locator("visible=true").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "phone")
