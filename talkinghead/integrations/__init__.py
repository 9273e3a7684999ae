"""Adapters that put `AvatarSession` into frameworks for voice agents; each needs its framework to be installed."""
