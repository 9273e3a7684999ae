"""Options of the studio."""

from __future__ import annotations

from dataclasses import dataclass

from talkinghead.inputs.settings import setting
from talkinghead.server.options import TOKEN, ListenOptions


@dataclass(frozen=True)
class StudioOptions(ListenOptions):
    """Where the studio listens, and whether it shows itself."""

    port: int = setting(7860, "Port to listen on; 0 chooses a free one.", 0, 65_535)
    token: str = setting("", f"Password that the page asks for; default: the environment variable {TOKEN}.")
    browser: bool = setting(True, "Open the page in the browser.")
