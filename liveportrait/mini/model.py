"""The embedded LivePortrait model: face-mesh landmarks replace the learned keypoints."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from itertools import repeat
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from liveportrait.config import Precision, check_precision
from liveportrait.driving_rules import DrivingRules, scaled_turn
from liveportrait.errors import WeightsError
from liveportrait.graph import fastest_precision
from liveportrait.mini.dense_residual import SKIN, read_dense_residual
from liveportrait.mini.driving import driving_keypoints, rest_of_picture
from liveportrait.mini.dubbing import dubbed_face, quiet_mouths
from liveportrait.mini.edit import edit, silence
from liveportrait.mini.exposure import brighten, exposure
from liveportrait.mini.face_model import HeadPose, eye_ratio, lip_ratio
from liveportrait.mini.from_official import from_official
from liveportrait.mini.lid_color import read_lid_colors
from liveportrait.mini.limits import limited_shift, turn_share
from liveportrait.mini.painted import OpenMouth
from liveportrait.mini.patches import patch_frame, patch_points, sample
from liveportrait.mini.pictures import (
    open_mouth,
    painted_size,
    prepare_source,
    render_pictures,
    seen_size,
    take_teeth,
)
from liveportrait.mini.prior_flow import prior_flow
from liveportrait.mini.regions import KEYPOINTS
from liveportrait.mini.renderer import MiniConfig, MiniRenderer
from liveportrait.mini.speech import speaking_face
from liveportrait.mini.teeth import TeethBank, bank_shapes
from liveportrait.mini.warp import resize_flow
from liveportrait.model import DTYPES, PictureRenderer, PortraitModel
from liveportrait.motion import Crop, FlowSearch, Motion, Portrait, SpeechMotion
from liveportrait.pictures import Picture, joined
from liveportrait.regions import OFFICIAL
from liveportrait.sliders import Sliders
from liveportrait.weight_files import empty_network, read_settings, read_sizes, read_weights

LARGEST_CROP, STEP, LOST_DETAIL = 1024, 32, 0.03
"""Largest side of a crop, what sides are multiples of, and the share by which one may be smaller than its region.
Warping preserves the detail of larger crops, but twice the side takes four times as long."""


class MiniLivePortrait(PortraitModel):
    """K = 162 face-mesh landmarks; canonical keypoints are the mean face, identity is part of the expression."""

    num_keypoints = len(KEYPOINTS)
    crop_size = 512
    needs_landmarks = True
    extracts_from_landmarks = True
    reads_dense_residual = True
    renders_layers = True

    def __init__(self, renderer: MiniRenderer) -> None:
        super().__init__()
        self.renderer = renderer
        self._prepared = WeakIdKeyDictionary()  # what pictures of a portrait share, for as long as the portrait lives
        self._mouths = WeakIdKeyDictionary()  # the same for portraits whose mouth others show

    @property
    def num_teeth(self) -> int:  # type: ignore[override]
        """Number of sets of teeth for portraits with shut lips."""
        return 0 if self.renderer.teeth is None else len(self.renderer.teeth)

    def set_precision(self, precision: Precision) -> None:
        """Set the precision of the networks; weights are not converted, and geometry stays in float32.

        Raises:
            ValueError: The precision is not fp32, bf16 or fp16.
        """
        check_precision(precision)
        self.renderer.precision = DTYPES[precision]

    def compile_graphs(self) -> None:
        """Compile the networks' graphs for this thread's number of threads."""
        if self.single_threaded and self.renderer.precision != torch.float16:
            self.renderer.compile_graphs()

    def crop_side(self, pixels: float) -> int:
        """Return about the side of the covered region: warping preserves all but `LOST_DETAIL` of its detail."""
        side = math.ceil((1 - LOST_DETAIL) * pixels / STEP) * STEP
        return min(max(side, self.crop_size), LARGEST_CROP)

    @torch.no_grad()
    def extract(self, crop: Crop) -> Motion:
        """Extract pose and expression from the landmarks (M)."""
        x = self._keypoints(crop)
        face = self.renderer.face
        pose = face.pose(x)
        head = face.to_head(x, pose)
        return Motion(
            rotation=pose.rotation,
            expression=(head - face.mean) @ pose.rotation,
            scale=pose.scale,
            translation=pose.translation,
            eye_ratio=eye_ratio(head),
            lip_ratio=lip_ratio(head),
        )

    @torch.no_grad()
    def read_dense_residual(self, reference: Crop, crop: Crop, search: FlowSearch) -> Tensor:
        """Compare driving frames with the rendered motion of an earlier frame, shape (T, 3, G, G)."""
        x_s, x_d, renderer = self._keypoints(reference), self._keypoints(crop), self.renderer
        earlier = reference.image.expand(len(x_d), -1, -1, -1)
        small = seen_size(earlier)
        frame = patch_frame(SKIN, renderer.face.pose(x_d))
        points = patch_points(frame, SKIN.size)
        expected = renderer.warp(small, x_s, x_d).apply_at(earlier, points)
        return read_dense_residual(expected, sample(crop.image, points), frame, x_d, search)

    @torch.no_grad()
    def encode(self, crop: Crop) -> Portrait:
        """Encode source faces."""
        x_s = self._keypoints(crop)
        factor = exposure(seen_size(crop.image), x_s)
        image = brighten(painted_size(crop.image, self.renderer.config), factor)
        features, bank = self.renderer.encode(image, x_s), self.renderer.teeth
        return Portrait(
            x_c=self.renderer.face.mean.expand_as(x_s),
            motion=self.extract(crop),
            x_s=x_s,
            f_s=torch.cat([f.float().flatten(1) for f in features], 1),
            crop=crop,
            teeth=None if bank is None else bank.choose(image, x_s, self.renderer.face),
        )

    @torch.no_grad()
    def adopt(self, motion: Motion) -> Motion:
        """Return motion of another model in terms of this one; motion of the official models is converted."""
        if motion.num_keypoints == OFFICIAL.num_keypoints:
            return from_official(self.renderer.face, motion.to(self.renderer.face.mean.device)).to("cpu")
        return super().adopt(motion)

    @torch.no_grad()
    def speech_keypoints(self, portrait: Portrait, speech_motion: SpeechMotion) -> Tensor:
        """Close the portrait's lips, then add the speech motion in the head frame."""
        face, motion = self.renderer.face, portrait.motion
        own = HeadPose(motion.scale, motion.rotation, motion.translation)
        head = face.to_head(portrait.x_s, own)
        moved = speaking_face(face, head, speech_motion)
        rotation = scaled_turn(speech_motion.rotation, turn_share(motion.rotation)) @ motion.rotation
        asked = Motion(rotation, motion.expression, motion.scale, motion.translation + speech_motion.translation)
        translation = motion.translation + limited_shift(asked, motion)
        return motion.scale[:, None] * (moved @ rotation) + translation[:, None]

    @torch.no_grad()
    def quiet_motion(self, motion: Motion, fps: float) -> Motion:
        """Close the lips of a talking face, and take the movements of speech out of its mouth."""
        return quiet_mouths(self.renderer.face, motion, fps)

    @torch.no_grad()
    def dubbed_keypoints(self, portrait: Portrait, speech_motion: SpeechMotion, quiet: Motion | None) -> Tensor:
        """Replace the motion of lips and jaw by speech motion in the head frame."""
        face, motion = self.renderer.face, portrait.motion
        own = HeadPose(motion.scale, motion.rotation, motion.translation)
        head = dubbed_face(face, face.to_head(portrait.x_s, own), quiet, speech_motion)
        return motion.scale[:, None] * (head @ motion.rotation) + motion.translation[:, None]

    @torch.no_grad()
    def driving_keypoints(
        self, portrait: Portrait, driving: Motion, anchor: Motion | None, rules: DrivingRules
    ) -> Tensor:
        """Follow a driver in the head frame; a single picture is anchored to its estimated neutral face."""
        face = self.renderer.face
        rest = rest_of_picture(face, driving[0]) if anchor is None else anchor
        return driving_keypoints(face, portrait.motion, driving, rest, rules)

    @torch.no_grad()
    def edit(self, portrait: Portrait, sliders: Sliders, *, stitching: bool = True) -> Tensor:
        """Apply sliders, including the motion of the surrounding face; the border is always still."""
        return edit(self.renderer.face, portrait.motion, sliders)

    @torch.no_grad()
    def silence(self, portrait: Portrait) -> Tensor:
        """Close the lips of a talking portrait, with the jaw."""
        return silence(self.renderer.face, portrait.motion)

    @torch.no_grad()
    def render(self, portrait: Portrait, x_d: Tensor, dense_residual: Tensor | None = None) -> Tensor:
        """Warp the source and paint mouth and eyes over it."""
        count, renderer, x_s = len(x_d), self.renderer, portrait.x_s
        image, small = portrait.crop.image, seen_size(portrait.crop.image)
        factor = exposure(small, x_s)
        small = brighten(small, factor).expand(count, -1, -1, -1)
        warp = renderer.warp(small, x_s, x_d)
        if dense_residual is not None:
            warp = renderer.apply_dense_residual(warp, small, dense_residual, x_d)
        warp = warp.kept_inside(portrait.crop.edges)
        layers = portrait.crop.layers
        moved = image if layers is None else layers.person
        crops = warp.darkened(factor).apply(moved.expand(count, -1, -1, -1)).clamp_(0, 1)
        coarse = brighten(painted_size(image, renderer.config), factor)
        lids = read_lid_colors(coarse, x_s, renderer.face)
        coarse = coarse.expand(count, -1, -1, -1)
        mouth, teeth = self._open_mouth(portrait.mouth), take_teeth(renderer, portrait)
        features = renderer.unpack(portrait.f_s, count)
        for patch in renderer.paint(coarse, features, warp, x_s, x_d, mouth, teeth, lids, sparing=True):
            patch.darkened(factor).blend_into(crops)
        crops.clamp_(0, 1)
        return crops if layers is None else torch.lerp(layers.background, crops, warp.shift(layers.opacity))

    @property
    def single_threaded(self) -> bool:
        """True on a CPU."""
        return self.renderer.face.mean.device.type == "cpu"

    def picture_renderer(self, portrait: Portrait) -> PictureRenderer:
        """Return a function that renders a portrait as pictures; on a CPU largely with OpenCV."""
        if not self.single_threaded:
            return super().picture_renderer(portrait)
        if portrait not in self._prepared:
            mouth = self._open_mouth(portrait.mouth)
            self._prepared[portrait] = [prepare_source(self.renderer, portrait[n], mouth) for n in range(len(portrait))]
        sources = self._prepared[portrait]

        @torch.inference_mode()
        def render(x_d: Tensor, dense_residual: Tensor | None) -> Picture:
            if len(sources) == 1:
                return render_pictures(self.renderer, sources[0], x_d, dense_residual)
            residuals = repeat(None) if dense_residual is None else dense_residual.split(1)
            each = zip(sources, x_d.split(1), residuals, strict=False)
            return joined([render_pictures(self.renderer, *one) for one in each])

        return render

    def _open_mouth(self, portrait: Portrait | None) -> OpenMouth | None:
        """Prepare a portrait whose mouth others show, once for all of them."""
        if portrait is None:
            return None
        if portrait not in self._mouths:
            self._mouths[portrait] = open_mouth(self.renderer, portrait)
        return self._mouths[portrait]

    @torch.no_grad()
    def warp(self, portrait: Portrait, x_d: Tensor) -> Tensor:
        """Warp the source with the prior flow only, as a baseline for `render`; shapes as in `render`."""
        image = portrait.crop.image.expand(len(x_d), -1, -1, -1)
        flow = prior_flow(self.renderer.face, portrait.x_s, x_d)
        return sample(image, resize_flow(flow, *image.shape[2:]))

    def _keypoints(self, crop: Crop) -> Tensor:
        if crop.landmarks is None:
            raise ValueError("the embedded model needs Crop.landmarks, shape (T, 478, 3)")
        return crop.landmarks[:, list(KEYPOINTS)]


def save(renderer: MiniRenderer, directory: Path) -> None:
    """Write config.json, model.safetensors and the OpenVINO graphs of some of the networks.

    Networks are stored in float16, the face model's small tables in float32.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (value if name.startswith("face.") else value.half()).contiguous()
        for name, value in renderer.state_dict().items()
    }
    if renderer.memory is not None:
        tensors |= {"memory": renderer.memory.half().contiguous(), "light": renderer.light.contiguous()}
    num_teeth = None
    if renderer.teeth is not None:
        num_teeth = len(renderer.teeth)
        tensors |= {f"teeth.{name}": value.contiguous() for name, value in renderer.teeth.named_buffers()}
    save_file(tensors, directory / "model.safetensors")
    sizes = asdict(replace(renderer.config, num_teeth=num_teeth))
    config = {"model": "mini", **sizes, "graphs": renderer.write_graphs(directory)}
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def load(directory: Path) -> MiniLivePortrait:
    """Load a model written by `save`.

    Raises:
        WeightsError: A file is missing, damaged, or does not match the others.
    """
    path, file = directory / "config.json", directory / "model.safetensors"
    settings = read_settings(path)
    graphs = settings.pop("graphs", {})
    if settings.pop("model", "mini") != "mini" or not isinstance(graphs, dict):
        raise WeightsError(f'{path}: "model" is not mini, or "graphs" no object; fetch it again')
    if settings.get("mouth_bank", 0) is None:
        del settings["mouth_bank"]  # a part that earlier versions could have
    config = read_sizes(MiniConfig, settings, path)
    if config.mouth_size % 8:
        raise WeightsError(f"{path}: mouth_size is {config.mouth_size}, expected a multiple of 8")
    renderer = empty_network(lambda: MiniRenderer(config), path)
    state = renderer.state_dict()
    side = config.mouth_size // 4
    state["memory"] = torch.empty(1, 3 * config.mouth_channels, side, side, device="meta")
    state["light"] = torch.empty(3, 4, device="meta")
    if config.num_teeth is not None:
        state |= bank_shapes(config.num_teeth)
    tensors = read_weights(file, state, optional=["memory", "light"])
    bank = {name.removeprefix("teeth."): tensors.pop(name) for name in list(tensors) if name.startswith("teeth.")}
    renderer.teeth = TeethBank(**bank) if bank else None
    renderer.memory = tensors.pop("memory", None)
    renderer.light = tensors.pop("light", renderer.light)
    renderer.load_state_dict(tensors, assign=True)
    renderer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    renderer.read_graphs(directory, graphs)
    renderer.precision = fastest_precision()
    return MiniLivePortrait(renderer).eval()
