"""Set up the processes of programs; the library does not change its caller's process."""

from __future__ import annotations

import ctypes
import os
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # names and numbers of glibc's malloc.h
_LARGEST = 32 * 2**20  # of arrays that are kept for reuse; glibc takes no more
_KEPT = 256 * 2**20
_ARENAS = 2  # few, so that threads share freed memory
_SPINS = 20_000  # well below a millisecond


def settle_process(*, training: bool = False) -> None:
    """Configure this process for networks; call it before torch is imported.

    OpenMP's threads are set to sleep while they wait. Spinning, the default, makes rendering five times slower as soon
    as anything else needs a core, including the video encoder.

    Args:
        training: Let them spin for a moment before they sleep. A step of a training has thousands of short operations
            and becomes a fifth faster; rendering does not.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if training:
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPINS))
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Keep freed memory in the process for reuse, on Linux with glibc.

    By default glibc returns large arrays to the system when they are freed, and every frame or step of a training would
    have to request them again, page by page.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT)
        library.mallopt(_M_ARENA_MAX, _ARENAS)
