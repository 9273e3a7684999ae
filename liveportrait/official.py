"""The official LivePortrait model: F, M, W, G, S, R_eyes and R_lip behind the common interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from liveportrait.config import OfficialConfig, Precision, check_precision
from liveportrait.driving_rules import DrivingRules
from liveportrait.errors import PortraitError
from liveportrait.keypoints import transform_keypoints
from liveportrait.model import DTYPES, PortraitModel
from liveportrait.modules.appearance import AppearanceExtractor
from liveportrait.modules.generator import SpadeGenerator
from liveportrait.modules.motion_extractor import MotionExtractor, face_pose
from liveportrait.modules.stitching import EyeRetargeting, LipRetargeting, Stitching
from liveportrait.modules.warping import SourceVolume, WarpingNetwork
from liveportrait.motion import Crop, Motion, Portrait, SpeechMotion
from liveportrait.official_driving import drive_animal, drive_picture, drive_video
from liveportrait.official_map import official_map
from liveportrait.official_speech import speech_keypoints
from liveportrait.regions import FACE_MESH, LANDMARKS_203, OFFICIAL
from liveportrait.retarget import eye_ratio, lip_ratio
from liveportrait.sliders import Sliders, edit, edit_video_lips, silence


@contextmanager
def without_tf32() -> Iterator[None]:
    """Disable TF32 on the GPU; it is the default for convolutions and far exceeds the parity tolerances."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before  # type: ignore[attr-defined]


class OfficialPortrait(PortraitModel):
    """The official model for people (`base`) or animals (`animals`).

    Attributes:
        appearance_extractor: F.
        motion_extractor: M.
        warping: W.
        generator: G.
        stitching: S.
        retarget_eyes: R_eyes.
        retarget_lip: R_lip.
        precision: Precision of F, M, W and G; S, R_eyes, R_lip and all geometry stay in float32.
        config: Sizes of the networks.
        landmarks_203: Finds upstream's own 203 landmarks in crops, shape (T, 203, 2); None measures openness on the
            face mesh, whose scale is mapped to theirs.
        folder: Of the weights, in upstream's layout; None if they were not read from files.
    """

    landmarks_203: Callable[[Crop], Tensor] | None = None
    folder: Path | None = None

    def __init__(self, config: OfficialConfig, needs_landmarks: bool, precision: Precision = "fp32"):
        super().__init__()
        self.config, self.needs_landmarks = config, needs_landmarks
        self.crop_size, self.crop_scale = config.output_size, config.crop_scale
        self.smooths_videos = needs_landmarks
        self.num_keypoints = config.motion.num_keypoints
        self.appearance_extractor = AppearanceExtractor(config.appearance)
        self.motion_extractor = MotionExtractor(config.motion)
        self.warping = WarpingNetwork(config.warping)
        self.generator = SpadeGenerator(config.generator)
        self.stitching = Stitching(config.retargeting)
        self.retarget_eyes = EyeRetargeting(config.retargeting)
        self.retarget_lip = LipRetargeting(config.retargeting)
        self.set_precision(precision)
        self._prepared: tuple[Tensor, SourceVolume] | None = None

    def set_precision(self, precision: Precision) -> None:
        """Set the precision of F, M, W and G. Weights are converted, so going back to fp32 does not restore them.

        Raises:
            ValueError: The precision is not fp32, bf16 or fp16.
        """
        check_precision(precision)
        self.precision: Precision = precision
        self._prepared = None
        for network in (self.appearance_extractor, self.motion_extractor, self.warping, self.generator):
            for module in network.modules():
                # Normalisation layers stay in float32; autocast runs the others in the precision of these weights.
                if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
                    module.to(dtype=DTYPES[precision])

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device

    @contextmanager
    def running(self) -> Iterator[None]:
        """Enter the context in which the networks run: no gradients, and the chosen precision.

        Raises:
            PortraitError: fp16 was chosen on a CPU.
        """
        device = self.device.type
        if device == "cpu" and self.precision == "fp16":
            # There are no native CPU kernels for fp16: one frame would take minutes.
            raise PortraitError("fp16 needs a GPU; on a CPU choose bf16 or fp32")
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self.precision != "fp32":
                stack.enter_context(torch.autocast(device, dtype=DTYPES[self.precision]))
            elif device == "cuda":
                stack.enter_context(without_tf32())
            yield

    def encode(self, crop: Crop) -> Portrait:
        """Encode source faces (F and M); T crops give T portraits."""
        with self.running():
            # Upstream downsamples source crops by area and driving crops bilinearly.
            size = (self.config.input_size, self.config.input_size)
            image = F.interpolate(crop.image.to(self.device), size, mode="area")
            f_s = self.appearance_extractor(image).float()
            pose = face_pose(self.motion_extractor(image))
            motion = self._measured(pose.motion, crop)
            return Portrait(pose.x_c, motion, transform_keypoints(pose.x_c, motion), f_s, crop)

    def extract(self, crop: Crop) -> Motion:
        """Extract the motion of driving faces (M); T crops give T frames."""
        with self.running():
            size = (self.config.input_size, self.config.input_size)
            image = F.interpolate(crop.image.to(self.device), size, mode="bilinear", align_corners=False)
            return self._measured(face_pose(self.motion_extractor(image)).motion, crop)

    def _measured(self, motion: Motion, crop: Crop) -> Motion:
        """Add the openness ratios measured on the crop's landmarks, on the scale of upstream's own landmarks."""
        if crop.landmarks is None:
            return motion
        if self.landmarks_203 is not None:
            found = self.landmarks_203(crop).to(motion.rotation)
            return replace(motion, eye_ratio=eye_ratio(found, LANDMARKS_203), lip_ratio=lip_ratio(found, LANDMARKS_203))
        points = crop.landmarks.to(motion.rotation)
        scale = official_map()
        eyes, lips = (
            scale.eye_ratio(eye_ratio(points, FACE_MESH)),
            scale.lip_ratio(lip_ratio(points, FACE_MESH)),
        )
        return replace(motion, eye_ratio=eyes, lip_ratio=lips)

    def speech_keypoints(self, portrait: Portrait, speech_motion: SpeechMotion) -> Tensor:
        """Convert speech motion to driving keypoints x_d of this portrait, shape (T, K, 3); see `official_speech`."""
        with torch.inference_mode():
            return speech_keypoints(self, portrait, speech_motion.to(self.device), guided=self.config.guided)

    def dubbed_keypoints(self, portrait: Portrait, speech_motion: SpeechMotion, quiet: Motion | None) -> Tensor:
        """Close the lips, by their expression or else by R_lip, and let speech motion move them, shape (1, K, 3)."""
        motion = portrait.motion
        if motion.num_keypoints == OFFICIAL.num_keypoints and not self.config.guided:
            closed = OFFICIAL.pick("lips", OFFICIAL.closed_lips(motion.expression), motion.expression)
            shut = None if motion.lip_ratio is None else torch.zeros_like(motion.lip_ratio)
            portrait = replace(portrait, motion=replace(motion, expression=closed, lip_ratio=shut))
        return self.speech_keypoints(portrait, speech_motion)

    def driving_keypoints(
        self, portrait: Portrait, driving: Motion, anchor: Motion | None, rules: DrivingRules
    ) -> Tensor:
        """Convert a driver's motion to driving keypoints x_d of a picture, shape (T, K, 3); see `official_driving`."""
        with torch.inference_mode():
            if not self.needs_landmarks and anchor is not None:
                return drive_animal(self, portrait, driving, anchor, rules)
            return drive_picture(self, portrait, driving, anchor, rules)

    @torch.inference_mode()
    def video_keypoints(
        self, frames: Iterable[tuple[Portrait, Motion]], anchor: Motion | None, rules: DrivingRules
    ) -> Iterator[Tensor]:
        """Convert a driver's motion to driving keypoints x_d of a video, each (1, K, 3); see `official_driving`."""
        if not self.needs_landmarks:
            yield from super().video_keypoints(frames, anchor, rules)
            return
        yield from drive_video(self, frames, anchor, rules)

    def edit(self, portrait: Portrait, sliders: Sliders, *, stitching: bool = True) -> Tensor:
        """Convert slider values to keypoints x_d of this portrait, shape (1, K, 3)."""
        with torch.inference_mode():
            return edit(self, portrait.x_c, portrait.motion, sliders, stitching)

    @torch.inference_mode()
    def edit_video(
        self, portraits: Iterable[Portrait], sliders: Sliders, *, stitching: bool = True
    ) -> Iterator[Tensor]:
        """Convert slider values to keypoints x_d, frame by frame; lips that are edited alone are smoothed over time."""
        if sliders.lip_ratio is None or sliders != Sliders(lip_ratio=sliders.lip_ratio):
            yield from super().edit_video(portraits, sliders, stitching=stitching)
            return
        yield from edit_video_lips(self, portraits, sliders.lip_ratio, stitching)

    def silence(self, portrait: Portrait) -> Tensor:
        """Return keypoints x_d of a talking portrait with closed lips and a relaxed face, shape (1, K, 3)."""
        with torch.inference_mode():
            return silence(self, portrait)

    def render(self, portrait: Portrait, x_d: Tensor, dense_residual: Tensor | None = None) -> Tensor:
        """Render a portrait with driving keypoints (W and G).

        Args:
            portrait: One portrait, or T of them.
            x_d: Driving keypoints, shape (T, K, 3).
            dense_residual: Ignored; this model has none.

        Returns:
            RGB crops, shape (T, 3, crop_size, crop_size), float32 in [0, 1].

        Raises:
            ValueError: The shapes of x_d and the portrait's keypoints do not match.
        """
        if x_d.ndim != 3 or x_d.shape[1:] != portrait.x_s.shape[1:] or len(portrait) not in (1, len(x_d)):
            raise ValueError(f"x_d {tuple(x_d.shape)} does not fit x_s {tuple(portrait.x_s.shape)}")
        with self.running():
            warped = self.warping(self._source_volume(portrait.f_s), portrait.x_s.expand_as(x_d), x_d)
            return self.generator(warped.feature).float()

    def _source_volume(self, f_s: Tensor) -> SourceVolume:
        """Return the source volume for W; the last one is cached."""
        if self._prepared is None or self._prepared[0] is not f_s:
            self._prepared = (f_s, self.warping.prepare(f_s))
        return self._prepared[1]
