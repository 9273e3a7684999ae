"""Networks that look at pictures for the figures: LPIPS, FID and identity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from liveportrait.training.perception import Perception, load_perception
from talkinghead.errors import InputNotFoundError, OptionError
from talkinghead.evaluation.metrics import Picture
from talkinghead.face.recognise import FaceRecogniser, RecogniserMissingError

CROP_SIDE = 256
"""Side at which LPIPS and FID see a crop: that of LivePortrait's tables."""

MOUTH_SIDE = 128
"""Side at which LPIPS sees a mouth box, whatever its size."""


@dataclass(frozen=True)
class Networks:
    """What looks at pictures; a figure whose network is missing is left out.

    Attributes:
        perception: VGG-16 with the weights of LPIPS. Its last convolution, averaged over the picture, gives FID's 512
            features unless there is another network.
        fid: The user's network for FID: TorchScript, RGB pictures (T, 3, S, S) in [0, 1] to features (T, D).
        recogniser: Describes faces, for the identity.
    """

    perception: Perception | None = None
    fid: torch.jit.ScriptModule | None = None
    recogniser: FaceRecogniser | None = None

    def compare(self, shown: Picture, real: Picture) -> tuple[dict[str, float], tuple[NDArray, NDArray]]:
        """Look at two crops of one size once: LPIPS, if there is its network, and the features for FID, (D,) each."""
        pictures = [to_tensor(each, CROP_SIDE) for each in (shown, real)]
        if self.perception is None:
            return {}, (self._features(pictures[0]), self._features(pictures[1]))
        with torch.no_grad():
            maps = [self.perception.maps(each) for each in pictures]
            lpips = float(self.perception.distance(*(self.perception.unit_length(each) for each in maps)))
        first, second = (self._features(each, seen[-1]) for each, seen in zip(pictures, maps, strict=True))
        return {"lpips": lpips}, (first, second)

    def mouth_lpips(self, shown: dict[str, Picture], real: Picture) -> dict[str, float]:
        """Compare mouth boxes with the real one by LPIPS, if there is its network; the names are kept."""
        if self.perception is None:
            return {}
        pictures = torch.cat([to_tensor(each, MOUTH_SIDE) for each in (*shown.values(), real)])
        with torch.no_grad():
            seen = self.perception.features(pictures)
            mine, true = [each[:-1] for each in seen], [each[-1:] for each in seen]
            return dict(zip(shown, self.perception.distance(mine, true).tolist(), strict=True))

    def features(self, picture: Picture) -> NDArray[np.float32]:
        """Return the features of a crop for FID, shape (D,); D is 0 without a network."""
        seen = to_tensor(picture, CROP_SIDE)
        if self.fid is None and self.perception is not None:
            with torch.no_grad():
                return self._features(seen, self.perception.maps(seen)[-1])
        return self._features(seen)

    def _features(self, picture: torch.Tensor, last: torch.Tensor | None = None) -> NDArray[np.float32]:
        with torch.no_grad():
            found = self.fid(picture) if self.fid is not None else last
        if found is None:
            return np.zeros(0, np.float32)
        pooled = found.mean((2, 3)) if found.ndim == 4 else found
        return pooled[0].float().numpy()


def load_networks(perception: Path | None = None, fid: Path | None = None) -> Networks:
    """Load what there is.

    Args:
        perception: File of `prepare.py perception`.
        fid: The user's TorchScript file.

    Raises:
        InputNotFoundError: The TorchScript file does not exist.
        OptionError: It is none, or does not give features.
    """
    try:
        recogniser = FaceRecogniser()
    except RecogniserMissingError:
        recogniser = None
    return Networks(perception and load_perception(perception), fid and _load_script(fid), recogniser)


def _load_script(file: Path) -> torch.jit.ScriptModule:
    if not file.is_file():
        raise InputNotFoundError(f"{file}: no such file; give the network for FID as a TorchScript file")
    try:
        network = torch.jit.load(file, map_location="cpu").eval()
        with torch.no_grad():
            found = network(torch.zeros(1, 3, CROP_SIDE, CROP_SIDE))
    except RuntimeError as error:
        raise OptionError(f"{file}: no TorchScript network of pictures: {str(error).splitlines()[0]}") from error
    if not isinstance(found, torch.Tensor) or found.ndim not in (2, 4) or len(found) != 1:
        raise OptionError(f"{file}: gives no features (T, D) of pictures (T, 3, {CROP_SIDE}, {CROP_SIDE})")
    return network


def missing(networks: Networks, *, pictures: bool = True) -> list[str]:
    """Say which figures will be left out, and what would give them; LPIPS and FID only if they are wanted."""
    lines = []
    if pictures and networks.perception is None:
        lines.append("no LPIPS: give --perception FILE; `prepare.py perception --output FILE` fetches it")
    if pictures and networks.perception is None and networks.fid is None:
        lines.append("no FID: give --perception FILE or --fid-network FILE")
    if networks.recogniser is None:
        lines.append('no identity: pip install "talkinghead[evaluate]"')
    return lines


def to_tensor(picture: Picture, side: int | None = None) -> torch.Tensor:
    """(H, W, 3) uint8 → (1, 3, H, W) float32 in [0, 1]; resized to a square of `side` by area if asked."""
    tensor = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255
    return tensor if side is None else F.interpolate(tensor, (side, side), mode="area")
