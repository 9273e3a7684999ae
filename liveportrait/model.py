"""PortraitModel: the common interface of the embedded and the official models."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from liveportrait.config import CROP_SCALE, Precision
from liveportrait.driving_rules import DrivingRules
from liveportrait.errors import PortraitError
from liveportrait.motion import Crop, FlowSearch, Motion, Portrait, SpeechMotion
from liveportrait.pictures import Picture, joined, to_pictures
from liveportrait.sliders import Sliders

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""PyTorch's type of each precision."""

PictureRenderer: TypeAlias = Callable[[Tensor, Tensor | None], Picture]
"""Renders keypoints x_d (T, K, 3) and a dense residual, or None, as pictures (T, S, S, 3)."""


class PortraitModel(nn.Module):
    """A portrait animator: encode a face once, then render it with any motion.

    Attributes:
        num_keypoints: K, the number of keypoints that `Motion.expression` moves.
        crop_size: Usual side in pixels of the crops that `render` returns.
        crop_scale: Usual side of a crop over the size of the face in it.
        needs_landmarks: Whether `Crop.landmarks` must be given.
        extracts_from_landmarks: Whether `extract` uses only the landmarks, so that crops need no pixels.
        reads_dense_residual: Whether the model implements `read_dense_residual`.
        renders_layers: Whether `render` keeps the background of `Crop.layers` still.
        num_teeth: How many sets of teeth there are for portraits with shut lips.
        gpu_precision: The precision to choose on a CUDA device unless the user asks for another.
        smooths_videos: Whether `video_keypoints` smooths by `DrivingRules.observation_variance`.
    """

    _largest: int | None = None  # largest batch that fits the GPU's memory, once one did not

    num_keypoints: int
    crop_size: int
    crop_scale: float = CROP_SCALE
    needs_landmarks: bool
    extracts_from_landmarks: bool = False
    reads_dense_residual: bool = False
    renders_layers: bool = False
    num_teeth: int = 0
    gpu_precision: Precision = "fp32"
    smooths_videos: bool = False

    def crop_side(self, pixels: float) -> int:
        """Return the side of the crop to use for a face region of `pixels` pixels; `render` returns the same size."""
        return self.crop_size

    @abstractmethod
    def set_precision(self, precision: Precision) -> None:
        """Set the precision of the networks; geometry stays in float32.

        Raises:
            ValueError: The precision is not fp32, bf16 or fp16.
        """

    def compile_graphs(self) -> None:
        """Compile graphs that would otherwise be compiled for the first picture.

        Raises:
            WeightsError: A file is not a graph.
        """

    @abstractmethod
    def encode(self, crop: Crop) -> Portrait:
        """Encode source faces (F and M); T crops give T portraits."""

    @abstractmethod
    def extract(self, crop: Crop) -> Motion:
        """Extract the motion of driving faces (M); T crops give T frames."""

    def read_dense_residual(self, reference: Crop, crop: Crop, search: FlowSearch) -> Tensor:
        """Measure the skin motion and shading of a driver that its keypoints do not capture.

        Args:
            reference: An earlier frame of the same face.
            crop: T driving frames.
            search: Computes optical flow.

        Returns:
            Displacement and shading of the skin since the reference, for `Motion.dense_residual`, shape (T, 3, G, G).
            Only differences between frames are meaningful.

        Raises:
            PortraitError: The model has no dense residual.
        """
        raise PortraitError(f"{type(self).__name__} has no dense residual")

    def adopt(self, motion: Motion) -> Motion:
        """Return motion that was extracted by another model in terms of this one.

        Raises:
            PortraitError: This model does not know the other model's keypoints.
        """
        if motion.num_keypoints == self.num_keypoints:
            return motion
        raise PortraitError(
            f"made for a model with {motion.num_keypoints} keypoints, this one has {self.num_keypoints}: make a new one"
        )

    @abstractmethod
    def speech_keypoints(self, portrait: Portrait, speech_motion: SpeechMotion) -> Tensor:
        """Convert speech motion to driving keypoints x_d of this portrait, shape (T, K, 3)."""

    def quiet_motion(self, motion: Motion, fps: float) -> Motion | None:
        """Return the motion of a talking face as if it were silent, for `dubbed_keypoints`.

        Args:
            motion: Consecutive frames of the face, T frames.
            fps: Frames per second.

        Returns:
            T frames; None for a model that closes each frame's lips by itself.
        """
        return None

    def dubbed_keypoints(self, portrait: Portrait, speech_motion: SpeechMotion, quiet: Motion | None) -> Tensor:
        """Convert speech motion to driving keypoints x_d of a face that talks already, shape (1, K, 3).

        Args:
            portrait: One frame of the face.
            speech_motion: One frame; only its mouth is used.
            quiet: The same frame of `quiet_motion`, or None.
        """
        return self.speech_keypoints(portrait, speech_motion)

    def driving_keypoints(
        self, portrait: Portrait, driving: Motion, anchor: Motion | None, rules: DrivingRules
    ) -> Tensor:
        """Convert a driver's motion to driving keypoints x_d of a picture.

        Args:
            portrait: One portrait.
            driving: The driver's motion, T frames.
            anchor: The driver's neutral frame; None if the driver is a single picture.
            rules: Which parts of the face follow the driver, and how.

        Returns:
            Driving keypoints, shape (T, K, 3).

        Raises:
            PortraitError: The model does not support driving.
        """
        raise PortraitError(f"{type(self).__name__} cannot follow a driver; leave --model out, or give mini")

    def video_keypoints(
        self, frames: Iterable[tuple[Portrait, Motion]], anchor: Motion | None, rules: DrivingRules
    ) -> Iterator[Tensor]:
        """Convert a driver's motion to driving keypoints x_d of a video, frame by frame.

        Args:
            frames: Each frame's portrait and driving motion, both of one frame; a model may look some frames ahead.
            anchor: As in `driving_keypoints`.
            rules: As in `driving_keypoints`.

        Yields:
            Driving keypoints of each frame, shape (1, K, 3).

        Raises:
            PortraitError: The model does not support driving.
        """
        for portrait, driving in frames:
            yield self.driving_keypoints(portrait, driving, anchor, rules)

    def edit(self, portrait: Portrait, sliders: Sliders, *, stitching: bool = True) -> Tensor:
        """Convert slider values to keypoints x_d of this portrait.

        Args:
            portrait: One portrait.
            sliders: Slider values.
            stitching: Whether to keep the crop's border still with S; models without S always do.

        Returns:
            Shape (1, K, 3).

        Raises:
            PortraitError: The model does not support sliders.
        """
        raise PortraitError(f"{type(self).__name__} cannot be edited; leave --model out, or give mini")

    def edit_video(
        self, portraits: Iterable[Portrait], sliders: Sliders, *, stitching: bool = True
    ) -> Iterator[Tensor]:
        """Convert slider values to keypoints x_d of a video's portraits, frame by frame, each of shape (1, K, 3).

        A model may look some frames ahead.

        Raises:
            PortraitError: The model does not support sliders.
        """
        for portrait in portraits:
            yield self.edit(portrait, sliders, stitching=stitching)

    def silence(self, portrait: Portrait) -> Tensor:
        """Return keypoints x_d of a talking portrait with closed lips, shape (1, K, 3); head and eyes stay.

        Raises:
            PortraitError: The model does not support this.
        """
        raise PortraitError(f"{type(self).__name__} cannot be edited; leave --model out, or give mini")

    @abstractmethod
    def render(self, portrait: Portrait, x_d: Tensor, dense_residual: Tensor | None = None) -> Tensor:
        """Render a portrait with driving keypoints (W and G).

        Args:
            portrait: One portrait, or T of them.
            x_d: Driving keypoints, shape (T, K, 3).
            dense_residual: Motion between the keypoints, from `read_dense_residual`, if the model supports it.

        Returns:
            RGB crops, shape (T, 3, S, S), float32 in [0, 1]; S as in `crop_side`.
        """

    @property
    def single_threaded(self) -> bool:
        """Whether `picture_renderer` works fastest in several threads at once, each with a few of the pictures."""
        return False

    def picture_renderer(self, portrait: Portrait) -> PictureRenderer:
        """Return a function that renders one portrait, or T of them, as pictures of eight bits.

        It may be called from several threads, and prepares the portrait only once.
        """
        return partial(self._pictures, portrait)

    @torch.inference_mode()
    def _pictures(self, portrait: Portrait, x_d: Tensor, dense_residual: Tensor | None = None) -> Picture:
        """Render a batch, in halves if the GPU has too little memory for the whole."""
        count = len(x_d)
        if self._largest is None or count <= self._largest:
            try:
                return to_pictures(self.render(portrait, x_d, dense_residual))
            except torch.OutOfMemoryError as error:
                if count == 1:
                    raise PortraitError(
                        "too little free memory on the GPU to render one frame: use --device cpu"
                    ) from error
            self._largest = count // 2
            torch.cuda.empty_cache()
        size, parts = self._largest, []
        for start in range(0, count, size):
            some = slice(start, start + size)
            own = portrait if len(portrait) == 1 else portrait[some]
            parts.append(self._pictures(own, x_d[some], None if dense_residual is None else dense_residual[some]))
        return joined(parts)
