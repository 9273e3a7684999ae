"""The networks of stage I: how they begin, and one pass from a pair of pictures to keypoints and a picture."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.config import OfficialConfig
from liveportrait.keypoints import transform_keypoints
from liveportrait.modules.generator import fold_spectral_norm
from liveportrait.modules.motion_extractor import MotionExtractor, MotionHeads, face_pose
from liveportrait.modules.sampling import identity_grid
from liveportrait.official import OfficialPortrait
from liveportrait.training.spectral import add_spectral_norm, refresh_vectors, restore_spectral_norm
from liveportrait.training.stage1.keypoint_losses import TARGET_DEPTH

PARTS = {"F": "appearance_extractor", "M": "motion_extractor", "W": "warping", "G": "generator"}


class PairMotion(NamedTuple):
    """What M finds in B pairs.

    Attributes:
        x_s: Source keypoints, shape (B, K, 3).
        x_d: Driving keypoints.
        x_warped: Keypoints of the warped driving picture.
        angles_deg: Pitch, yaw and roll of source and driving picture, shape (2B, 3).
        expression: δ of both, shape (2B, K, 3).
    """

    x_s: Tensor
    x_d: Tensor
    x_warped: Tensor
    angles_deg: Tensor
    expression: Tensor

    @classmethod
    def read(cls, heads: MotionHeads) -> PairMotion:
        """Convert M's output for sources, driving pictures and warped driving pictures, one after the other."""
        pose = face_pose(heads)
        count = len(pose.x_c) // 3
        parts = [pose.motion[n * count : (n + 1) * count] for n in range(3)]
        x_s, x_d, x_warped = (transform_keypoints(pose.x_c[:count], motion) for motion in parts)
        both = slice(2 * count)
        return cls(x_s, x_d, x_warped, pose.angles_deg[both], pose.motion.expression[both])


class KnownKeypoints(NamedTuple):
    """Landmarks that take the place of guided keypoints in some of B pairs.

    M finds lids and lips only roughly on faces that it does not know, and W then learns not to trust these keypoints.
    From true ones it learns what moving them does.

    Attributes:
        pairs: Which pairs, shape (B,), bool.
        rows: Keypoint of each landmark.
        landmarks_s: Of the sources, shape (B, N, 2).
        landmarks_d: Of the driving pictures.
    """

    pairs: Tensor
    rows: tuple[int, ...]
    landmarks_s: Tensor
    landmarks_d: Tensor

    def put_into(self, x_s: Tensor, x_d: Tensor) -> tuple[Tensor, Tensor]:
        """Return keypoints (B, K, 3) of sources and driving pictures with x and y of the known ones replaced."""
        results = []
        for x, landmarks in ((x_s, self.landmarks_s), (x_d, self.landmarks_d)):
            replaced = x.clone()
            replaced[:, list(self.rows), :2] = landmarks.to(x)
            results.append(torch.where(self.pairs[:, None, None], replaced, x))
        return results[0], results[1]


class Generated(NamedTuple):
    """Result of a pass on B pairs.

    Attributes:
        picture: The source with the driving motion, of the size that G returns, (B, 3, S, S).
        motion: What M found.
        shares: Mean share of each motion of W, the identity first, shape (K + 1,).
        shift: From each voxel of the warped volume to its place in the source, shape (B, D, H, W, 3).
    """

    picture: Tensor
    motion: PairMotion
    shares: Tensor
    shift: Tensor


class Stage1Networks(nn.Module):
    """F, M, W and G as they train, with spectral norm in G.

    Args:
        config: Their sizes.
        start: A model of these sizes to continue from; otherwise training begins from scratch.
    """

    def __init__(self, config: OfficialConfig, start: OfficialPortrait | None = None) -> None:
        super().__init__()
        model = OfficialPortrait(config, needs_landmarks=True) if start is None else start
        self.config = config
        self.appearance_extractor, self.motion_extractor = model.appearance_extractor, model.motion_extractor
        self.warping, self.generator = model.warping, model.generator
        if start is None:
            spread_keypoints(self.motion_extractor)
            add_spectral_norm(self.generator)
        else:
            state = restore_spectral_norm(self.generator.state_dict())
            add_spectral_norm(self.generator)
            self.generator.load_state_dict(state)
        self.requires_grad_(True)

    def forward(
        self, source: Tensor, driving: Tensor, warped: Tensor, known: KnownKeypoints | None = None
    ) -> Generated:
        """Animate the sources.

        Args:
            source: Shape (B, 3, S, S) in [0, 1].
            driving: Same shape.
            warped: The driving pictures after a random warp.
            known: Keypoints that W is given in place of those of M.
        """
        motion = PairMotion.read(self.motion_extractor(torch.cat([source, driving, warped])))
        x_s, x_d = (motion.x_s, motion.x_d) if known is None else known.put_into(motion.x_s, motion.x_d)
        volume = self.warping.prepare(self.appearance_extractor(source))
        feature, dense = self.warping(volume, x_s, x_d)
        shift = dense.deformation - identity_grid(dense.deformation[..., 0])
        return Generated(self.generator(feature).float(), motion, dense.mask.float().mean((0, 2, 3, 4)), shift)


def spread_keypoints(extractor: MotionExtractor) -> None:
    """Start with unit scale, small motion and keypoints spread over the face; at zero they would all coincide."""
    with torch.no_grad():
        for head in (extractor.fc_scale, extractor.fc_t, extractor.fc_exp, extractor.fc_kp):
            head.weight.mul_(0.1)
            head.bias.zero_()
        extractor.fc_scale.bias.fill_(1.0)
        place = torch.rand(extractor.fc_kp.out_features // 3, 3) - 0.5
        place[:, 2] = TARGET_DEPTH + 0.2 * place[:, 2]
        extractor.fc_kp.bias.copy_(place.flatten())


def input_of(picture: Tensor, size: int) -> Tensor:
    """Reduce pictures (B, 3, H, W) to the size that F and M read."""
    return F.interpolate(picture, (size, size), mode="area")


def assemble(state: dict[str, Tensor], config: OfficialConfig, device: str | torch.device = "cpu") -> OfficialPortrait:
    """Build a model for use from the weights of `Stage1Networks`, with folded spectral norm.

    S, R_eyes and R_lip change nothing until stage II has trained them.
    """
    model = OfficialPortrait(config, needs_landmarks=True)
    for part in PARTS.values():
        own = {name.removeprefix(f"{part}."): value for name, value in state.items() if name.startswith(f"{part}.")}
        own = fold_spectral_norm(refresh_vectors(own)) if part == "generator" else own
        model.get_submodule(part).load_state_dict(own)
    for network in (model.stitching, model.retarget_eyes, model.retarget_lip):
        silence(network)
    return model.eval().requires_grad_(False).to(device)


def silence(network: nn.Module) -> None:
    """Set the last layer of a small network to zero, so that it adds nothing."""
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
