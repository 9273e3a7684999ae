"""Named sizes of the networks, from the official one to one that learns on two processor cores."""

from __future__ import annotations

from liveportrait.config import AppearanceConfig, GeneratorConfig, MotionConfig, OfficialConfig, WarpingConfig

SIZES = {
    "official": OfficialConfig(),
    "small": OfficialConfig(
        input_size=128,
        appearance=AppearanceConfig(width=32, volume_channels=16, volume_depth=16, num_residual=3),
        motion=MotionConfig(depths=(2, 2, 4, 2), widths=(40, 80, 160, 240)),
        warping=WarpingConfig(
            volume_channels=16, compressed_channels=2, width=16, max_width=128, num_blocks=4, out_channels=128
        ),
        generator=GeneratorConfig(feature_channels=128, width=128, num_middle=2, hidden=64, last_width=32),
    ),
    "toy": OfficialConfig(
        input_size=64,
        appearance=AppearanceConfig(width=16, num_down=1, volume_channels=8, volume_depth=4, num_residual=2),
        motion=MotionConfig(depths=(1, 1, 2, 1), widths=(32, 64, 128, 192)),
        warping=WarpingConfig(
            volume_channels=8,
            volume_depth=4,
            compressed_channels=1,
            width=6,
            max_width=64,
            num_blocks=4,
            out_channels=32,
            mask_kernel=3,
        ),
        generator=GeneratorConfig(
            feature_channels=32, width=64, num_middle=2, hidden=24, last_width=16, num_up=1, upscale=1
        ),
    ),
    "tiny": OfficialConfig(
        input_size=32,
        appearance=AppearanceConfig(width=4, volume_channels=2, volume_depth=4, num_residual=1),
        motion=MotionConfig(depths=(1, 1, 1, 1), widths=(8, 8, 16, 16)),
        warping=WarpingConfig(
            volume_channels=2,
            volume_depth=4,
            compressed_channels=1,
            width=4,
            max_width=16,
            num_blocks=2,
            out_channels=8,
        ),
        generator=GeneratorConfig(feature_channels=8, width=16, num_middle=1, hidden=4, last_width=4),
    ),
}
"""official: 256 px in, 512 px out, 130 million weights; small: 128 → 256; toy: 64 → 64; tiny, for tests: 32 → 64."""
