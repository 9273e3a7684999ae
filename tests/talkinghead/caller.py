"""Tiny inputs for the real embedded models, and the calls of the library with them."""

from fractions import Fraction

import numpy as np
import soundfile
from drawn_face import drawn_face
from PIL import Image

from talkinghead import CropOptions, Options, RenderOptions, api, stream
from talkinghead.media.image import read_image
from talkinghead.media.video import VideoWriter
from talkinghead.options import EditOptions

OPTIONS = Options(CropOptions(size=64, face_only=True), render=RenderOptions(overwrite=True, device="cpu"))


class Caller:
    """A caller of the library, with its files in a folder, and with loaded models or the name of some.

    Every call returns its pictures.
    """

    def __init__(self, folder, models="mini"):
        self.folder, self.models = folder, models
        self.picture, self.sound, self.driver = (str(folder / name) for name in ("a.png", "a.wav", "a.mp4"))

    def prepare(self):
        Image.fromarray(drawn_face(160)).save(self.picture)
        soundfile.write(self.sound, np.random.default_rng(0).uniform(-0.3, 0.3, 2_560), 16_000)
        with VideoWriter(self.folder / "a.mp4", Fraction(25), (160, 160), None, 18) as writer:
            for mouth in (0.0, 1.0):
                writer.write(drawn_face(160, mouth))
        return self

    def speak(self):
        return api.speak(self.picture, self.sound, options=OPTIONS, model=self.models)

    def reenact(self):
        return api.reenact(self.picture, self.driver, options=OPTIONS, model=self.models)

    def reenact_video(self):
        return api.reenact(self.driver, self.picture, options=OPTIONS, model=self.models)

    def stream(self):
        sound = [np.random.default_rng(0).uniform(-0.3, 0.3, 1_280).astype(np.float32)] * 2
        return stream(self.picture, sound, options=OPTIONS, model=self.models)

    def edit(self):
        options = Options(OPTIONS.crop, render=OPTIONS.render, edit=EditOptions(smile=0.5))
        api.edit(self.picture, self.folder / "edit.png", options=options, model=self.models)
        return [read_image(self.folder / "edit.png")]

    def template(self):
        api.template(self.driver, self.folder / "a.safetensors", options=OPTIONS, model=self.models)
        return []


CALLS = ("speak", "reenact", "reenact_video", "stream", "edit", "template")
