"""Animate portraits in real time, from a camera or from live sound."""
