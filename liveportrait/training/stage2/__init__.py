"""Stage II: train S, R_eyes and R_lip through the frozen networks of stage I (LivePortrait §3.3)."""
