"""LivePortrait: opens models by name or from a directory."""

from __future__ import annotations

from pathlib import Path

from liveportrait.model import PortraitModel
from liveportrait.weights import load


class LivePortrait:
    """Loads any portrait model; which class it has is written in its files."""

    @staticmethod
    def from_pretrained(name_or_directory: str | Path = "mini") -> PortraitModel:
        """Load a model ready to render.

        Args:
            name_or_directory: "mini" (embedded), "base" or "animals" (official, fetched once), or a directory
                that holds either kind of checkpoint.

        Returns:
            The model in eval mode on the CPU.

        Raises:
            WeightsNotFoundError: The name is unknown, or files are missing and cannot be fetched.
            WeightsError: A file is not what its name says.

        Example:
            >>> from liveportrait import LivePortrait
            >>> LivePortrait.from_pretrained("mini").crop_size
            512
        """
        return load(name_or_directory).float()
