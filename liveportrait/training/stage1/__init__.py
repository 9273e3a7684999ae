"""Stage I: train F, M, W and G from pairs of pictures (LivePortrait §3.2)."""
