"""How well a model reenacts people it was not trained on: the first frame of a clip is the source, later ones drive."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from liveportrait.keypoints import euler_degrees, transform_keypoints
from liveportrait.modules.motion_extractor import face_pose
from liveportrait.official import OfficialPortrait
from liveportrait.training.faces import FaceSet
from liveportrait.training.loop import Figures
from liveportrait.training.perception import Perception
from liveportrait.training.stage1.keypoint_losses import equivariance
from liveportrait.training.stage1.networks import input_of
from liveportrait.training.stage1.warps import RandomWarp

FRAMES_PER_CLIP = 6


class Reenacted(NamedTuple):
    """B sources with the motion of driving pictures.

    Attributes:
        picture: Shape (B, 3, S, S) in [0, 1].
        x_d: Driving keypoints, shape (B, K, 3).
        x_c: Canonical keypoints of the sources, shape (B, K, 3).
        angles_deg: M's pitch, yaw and roll of the driving pictures, shape (B, 3).
    """

    picture: Tensor
    x_d: Tensor
    x_c: Tensor
    angles_deg: Tensor


@torch.no_grad()
def reenactment(model: OfficialPortrait, faces: FaceSet, perception: Perception) -> Figures:
    """Measure self-reenactment.

    Returns:
        Means over clips: PSNR in dB and LPIPS of the model and of copying the source (`copy_`); the mean distance of
        keypoints from where a random warp puts them (`equivariance`); the mean difference in degrees of M's pitch, yaw
        and roll of the rendered and the driving picture (`apd`), and of source and driving picture (`copy_apd`); and
        how far M's angles of the driving pictures are from the analyser's (`pose_error`).
    """
    rows = []
    for start, end in zip(faces.bounds[:-1].tolist(), faces.bounds[1:].tolist(), strict=True):
        if end - start > 1:
            drive = torch.linspace(start + 1, end - 1, min(FRAMES_PER_CLIP, end - start - 1)).long()
            rows.append(_clip_figures(model, faces, perception, start, drive))
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]} if rows else {}


def _clip_figures(
    model: OfficialPortrait, faces: FaceSet, perception: Perception, start: int, drive: Tensor
) -> Figures:
    device, size = model.device, model.config.input_size
    pictures = faces.pictures(torch.cat([torch.tensor([start]), drive])).to(device).float() / 255
    source, truth = pictures[:1].expand(len(drive), -1, -1, -1), pictures[1:]
    random = torch.Generator().manual_seed(start)
    warp = RandomWarp.draw(len(drive), random, device)
    shown, x_d, x_c, found = reenact(model, source, truth)
    x_warped = transform_keypoints(x_c, face_pose(model.motion_extractor(input_of(warp.picture(truth), size))).motion)
    target = torch.stack(euler_degrees(faces.rotation[drive].to(device)), 1)
    figures: Figures = {"pose_error": float((found - target).abs().mean())}
    for prefix, result in (("", shown), ("copy_", source)):
        error = (result - truth).square().mean((1, 2, 3))
        figures[f"{prefix}psnr"] = float((-10 * error.clamp_min(1e-10).log10()).mean())
        figures[f"{prefix}lpips"] = float(perception(result, truth).mean())
        angles = face_pose(model.motion_extractor(input_of(result, size))).angles_deg
        figures[f"{prefix}apd"] = float((angles - found).abs().mean())
    return figures | {"equivariance": float(equivariance(x_d, x_warped, warp))}


@torch.no_grad()
def reenact(model: OfficialPortrait, source: Tensor, driving: Tensor) -> Reenacted:
    """Animate sources with the motion of driving pictures, both (B, 3, S, S) as G returns."""
    small = [input_of(picture, model.config.input_size) for picture in (source, driving)]
    own, driver = (face_pose(model.motion_extractor(picture)) for picture in small)
    x_s, x_d = (transform_keypoints(own.x_c, pose.motion) for pose in (own, driver))
    volume = model.warping.prepare(model.appearance_extractor(small[0]))
    return Reenacted(model.generator(model.warping(volume, x_s, x_d).feature), x_d, own.x_c, driver.angles_deg)


def contact_sheet(model: OfficialPortrait, faces: FaceSet, most: int = 8) -> Tensor:
    """Show source, driving picture, result, and the source with the motion of the next clip, a row for each clip.

    Args:
        model: What animates.
        faces: The clips.
        most: Clips that are shown.

    Returns:
        Shape (3, H, W) in [0, 1].
    """
    starts, ends = faces.bounds[:-1][:most], faces.bounds[1:][:most] - 1
    source, driving = (faces.pictures(frames).to(model.device).float() / 255 for frames in (starts, ends))
    own, crossed = (reenact(model, source, other).picture for other in (driving, driving.roll(-1, 0)))
    columns = torch.stack([source, driving, own, driving.roll(-1, 0), crossed], 1)
    return columns.permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2)
