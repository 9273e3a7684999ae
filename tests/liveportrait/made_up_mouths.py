"""A renderer that has learned nothing, and made-up mouths to learn from."""

import torch
import torch.nn.functional as F

from liveportrait import LivePortrait
from liveportrait.mini.face_model import lip_ratio
from liveportrait.mini.patches import patch_points, sample
from liveportrait.mini.raster import polygon_masks
from liveportrait.mini.regions import LIPS_INNER, rows
from liveportrait.mini.renderer import SEEN_SIZE, MiniConfig, MiniRenderer
from liveportrait.training.mouths import CLIP, STILL, WINDOW, MouthSet, window_frame

TINY = MiniConfig(flow_channels=4, mouth_channels=8, eye_channels=8, mouth_blocks=1, eye_blocks=1, mouth_size=64)


def untrained_renderer() -> MiniRenderer:
    """A renderer that has learned nothing, so that its warp is the prior flow."""
    torch.manual_seed(0)
    made = MiniRenderer(TINY)
    made.face.load_state_dict(LivePortrait.from_pretrained("mini").renderer.face.state_dict())  # type: ignore[union-attr]
    return made.eval()


def made_up_mouths(renderer: MiniRenderer) -> MouthSet:
    """Two open stills (one validates), a shut one, and a clip that opens; smooth skin, white inside."""
    face = renderer.face
    rest = face.mean + face.move_lips(face.mean[None], torch.zeros(1, face.lip_response.shape[0]))
    gaps = face.lip_gaps(face.mean + face.express(-3.0 * torch.eye(1, len(face.expression_basis))))
    heads = [rest + face.move_lips(rest, share * gaps) for share in (1.0, 0.8, 0.0, 0.0, 0.9)]
    points = 0.4 * torch.cat(heads) - torch.tensor([0.0, 0.2, 0.0])
    skin = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    skin = 0.2 + 0.4 * F.interpolate(skin, (256, 256), mode="bicubic").clamp(0, 1)
    inside = polygon_masks([points[:, rows(LIPS_INNER), :2]], 256, 0.005)
    pictures = torch.lerp(
        skin.expand(5, -1, -1, -1), torch.ones(()), inside * (lip_ratio(points) > 0.05)[..., None, None]
    )
    windows = sample(pictures, patch_points(window_frame(face, points), WINDOW))
    return MouthSet(
        windows=(255 * windows).byte(),
        small=(255 * F.interpolate(pictures, (SEEN_SIZE, SEEN_SIZE), mode="area")).byte(),
        points=points,
        kinds=torch.tensor([STILL, STILL, STILL, CLIP, CLIP]),
        groups=torch.tensor([0, 1, 2, 3, 3]),
        held_out=torch.tensor([False, True, False, False, False]),
    )
