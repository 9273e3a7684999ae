"""Talking videos as data to train on: clips, landmarks, speech and motion on disk."""
