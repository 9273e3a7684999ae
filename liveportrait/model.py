"""LivePortrait: one class in front of the embedded and the official networks."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from torch import Tensor, nn

from liveportrait.config import Precision
from liveportrait.driving_rules import DrivingRules
from liveportrait.errors import PortraitError
from liveportrait.motion import Crop, FlowSearch, Motion, Portrait, SpeechMotion
from liveportrait.sliders import Sliders


class LivePortrait(nn.Module):
    """A portrait animator: encode a face once, then render it with any motion.

    Attributes:
        num_keypoints: K, the number of keypoints that `Motion.expression` moves.
        crop_size: Usual side in pixels of the crops that `render` returns.
        needs_landmarks: Whether `Crop.landmarks` must be given.
        extracts_from_landmarks: Whether `extract` looks at the landmarks only, so that pictures may have no pixels.
        reads_dense_residual: Whether there is a `read_dense_residual`.
    """

    num_keypoints: int
    crop_size: int
    needs_landmarks: bool
    extracts_from_landmarks: bool = False
    reads_dense_residual: bool = False

    @staticmethod
    def from_pretrained(name_or_directory: str | Path = "mini") -> LivePortrait:
        """Load a model ready to render.

        Args:
            name_or_directory: "mini" (embedded), "base" or "animals" (official, fetched once), or a directory
                that holds either kind of checkpoint.

        Returns:
            The model in eval mode on the CPU.

        Raises:
            WeightsNotFoundError: The name is unknown, or files are missing and cannot be fetched.
            WeightsError: A file is not what its name says.
        """
        from liveportrait.weights import load

        return load(name_or_directory).float()

    def crop_side(self, pixels: float) -> int:
        """Choose the side of a source crop that covers so many pixels of its picture; `render` returns it as large."""
        return self.crop_size

    @abstractmethod
    def set_precision(self, precision: Precision) -> None:
        """Choose in what the networks compute; geometry stays in float32.

        Raises:
            ValueError: It is none of fp32, bf16 and fp16.
        """

    @abstractmethod
    def encode(self, crop: Crop) -> Portrait:
        """Encode source faces (F and M), once per picture; T crops give T portraits."""

    @abstractmethod
    def extract(self, crop: Crop) -> Motion:
        """Read the motion of driving faces (M); T crops give T frames."""

    def read_dense_residual(self, reference: Crop, crop: Crop, search: FlowSearch) -> Tensor:
        """Read from a driver's pictures what its keypoints do not tell.

        Args:
            reference: One earlier picture of the same face.
            crop: T pictures.
            search: Finds how pictures moved.

        Returns:
            How skin slides and is shaded since the reference, for `Motion.dense_residual`, shape (T, 3, G, G); only
            differences between frames count.

        Raises:
            PortraitError: This model's keypoints tell everything.
        """
        raise PortraitError(f"{type(self).__name__} reads no skin; its keypoints tell everything")

    @abstractmethod
    def speech_keypoints(self, portrait: Portrait, speech_motion: SpeechMotion) -> Tensor:
        """Turn what a voice asks for into this portrait's keypoints x_d, shape (T, K, 3)."""

    def driving_keypoints(
        self, portrait: Portrait, driving: Motion, anchor: Motion | None, rules: DrivingRules
    ) -> Tensor:
        """Turn a driver's motion into this portrait's keypoints x_d.

        Args:
            portrait: One portrait, or T of them.
            driving: The driver's motion, T frames.
            anchor: The driver's motion where it is neutral, one frame; None where the driver is a single picture.
            rules: What follows, and how.

        Returns:
            Driving keypoints, shape (T, K, 3).

        Raises:
            PortraitError: This model has no rules for following.
        """
        raise PortraitError(f"{type(self).__name__} cannot follow a driver; leave --model out, or give mini")

    def edit(self, portrait: Portrait, sliders: Sliders) -> Tensor:
        """Turn an edit by hand into this portrait's keypoints x_d, shape (1, K, 3).

        Raises:
            PortraitError: This model has no sliders.
        """
        raise PortraitError(f"{type(self).__name__} cannot be edited; leave --model out, or give mini")

    @abstractmethod
    def render(self, portrait: Portrait, x_d: Tensor, dense_residual: Tensor | None = None) -> Tensor:
        """Render driving keypoints (W and G).

        Args:
            portrait: One portrait, or T of them.
            x_d: Driving keypoints, shape (T, K, 3).
            dense_residual: What moves between the keypoints, from `read_dense_residual`, where the model has it.

        Returns:
            RGB crops, shape (T, 3, S, S), float32 in [0, 1]; S as in `crop_side`.
        """
