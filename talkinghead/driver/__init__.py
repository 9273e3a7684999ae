"""Drivers: videos, pictures, templates, keyframes or speech that a source is animated with."""
