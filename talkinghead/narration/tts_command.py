"""Synthesize speech with another program."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import threading
from pathlib import Path
from typing import IO

from talkinghead.narration.errors import SpeechError

_SECONDS = 600
"""Time limit of a command for one sentence."""
_KEPT_BYTES, _QUOTED = 2_000, 120
"""Bytes kept of a command's output, and characters of its last line that are shown."""


class CommandEngine:
    """A program that turns a text into a wav; it is started without a shell."""

    reads = None

    def __init__(self, command: str) -> None:
        """Set the command line, in which {text} and {wav} stand for the text and the file to write.

        Raises:
            SpeechError: Its quotes do not match, or it is empty.
        """
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise SpeechError(f"tts_command {command!r} cannot be read ({error})") from None
        if not self._words:
            raise SpeechError("tts_command is empty; give it a program, {text} and {wav}")
        self.identity = f"command {command}"

    def say(self, text: str, file: Path) -> None:
        """Run the command."""
        values = {"{text}": text.replace("\0", ""), "{wav}": str(file)}
        words = [re.sub(r"\{text\}|\{wav\}", lambda name: values[name[0]], word) for word in self._words]
        about = repr(text[:40])
        try:
            code, said = _run(words)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SpeechError(f"tts_command: {words[0]!r} cannot be started ({reason})") from None
        except subprocess.TimeoutExpired:
            raise SpeechError(f"tts_command: took more than {_SECONDS} s for {about}; it was ended") from None
        if code:
            raise SpeechError(f"tts_command: failed with code {code} for {about} ({said or 'it said nothing'})")
        if file.exists() and not file.is_file():
            raise SpeechError(f"tts_command: made a folder or a pipe for {about}; it must write a wav to {{wav}}")
        if not file.exists() or not file.stat().st_size:
            raise SpeechError(f"tts_command: wrote nothing for {about}; it must write the file that {{wav}} names")


def _run(words: list[str]) -> tuple[int, str]:
    """Run a program in its own process group, which is killed at the end, after the time limit or at Ctrl-C.

    Returns:
        Its exit code, and the last line that it printed.

    Raises:
        OSError: It cannot be started.
        subprocess.TimeoutExpired: It took too long.
    """
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert process.stdout
    tail = bytearray()
    reader = threading.Thread(target=_keep_tail, args=(process.stdout, tail), daemon=True)
    reader.start()
    try:
        code = process.wait(_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(1)  # a process that has left the group may keep the pipe open
    return code, _last_line(bytes(tail))


def _keep_tail(stream: IO[bytes], tail: bytearray) -> None:
    with stream:
        while chunk := os.read(stream.fileno(), 65_536):
            tail += chunk
            del tail[:-_KEPT_BYTES]


def _last_line(printed: bytes) -> str:
    lines = printed.decode("utf-8", "replace").splitlines()
    shown = ("".join(letter if letter.isprintable() else " " for letter in line).strip() for line in lines)
    return next((line[:_QUOTED] for line in reversed([*shown]) if line), "")
