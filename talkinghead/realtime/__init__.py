"""Portraits that follow a camera or a voice while it happens."""
