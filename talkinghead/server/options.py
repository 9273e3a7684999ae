"""Where servers listen; options of the server of videos, and what it never does more than."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass

from talkinghead.errors import OptionError
from talkinghead.inputs.settings import Checked, setting
from talkinghead.wording import counted

TOKEN = "TALKINGHEAD_TOKEN"


@dataclass(frozen=True)
class ListenOptions(Checked):
    """Where a server listens, and who may use it."""

    host: str = setting("127.0.0.1", "Address to listen on; others than this computer's own need a token.")
    port: int = setting(8000, "Port to listen on; 0 chooses a free one.", 0, 65_535)
    token: str = setting("", f"Token that every request must carry; default: the environment variable {TOKEN}.")

    deny_list: str = setting("", "File of portraits that may not be animated; see `talkinghead deny`.", names_file=bool)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.token:
            object.__setattr__(self, "token", os.environ.get(TOKEN, ""))
        if not self.is_local and not self.token:
            raise OptionError(
                f"whoever reaches {self.host} could use this server: set {TOKEN} to a long random word, or"
                " listen on 127.0.0.1"
            )
        if self.token and len(self.token) < 16:
            raise OptionError(f"the token has {counted(len(self.token), 'character')}: give at least 16")

    @property
    def is_local(self) -> bool:
        """Whether only this computer reaches the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True)
class ServerOptions(ListenOptions):
    """Where the server listens, and its limits."""

    max_upload_mb: float = setting(50.0, "Largest request, in megabytes.", 0.001, 10_000)
    max_seconds: float = setting(600.0, "Longest voice or driving video, in seconds.", 0.1, 86_400)
    max_text: int = setting(20_000, "Longest text to read aloud, in characters.", 1, 1_000_000)
    max_waiting: int = setting(8, "Jobs that may wait; further ones are refused.", 0, 1_000)
    max_avatars: int = setting(4, "Avatars that may be live at a time; further ones are refused.", 1, 1_000)
    max_avatar_seconds: float = setting(3600.0, "Longest time that an avatar stays, in seconds.", 1, 86_400)
    patience: float = setting(30.0, "Seconds that a request may pause before it is refused.", 0.1, 3_600)
    keep_seconds: float = setting(3600.0, "Seconds that results of jobs and portraits are kept.", 1, 604_800)

    @property
    def max_bytes(self) -> int:
        """The largest request."""
        return int(self.max_upload_mb * 1_000_000)
