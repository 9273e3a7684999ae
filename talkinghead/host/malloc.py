"""How this process asks the system for memory."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # names and numbers of glibc's malloc.h
_LARGEST = 32 * 2**20  # of arrays that are kept for reuse; glibc takes no more
_KEPT = 256 * 2**20
_ARENAS = 2  # what one thread leaves, another can use


def keep_freed_memory() -> None:
    """Keep what pictures and tensors leave behind for those that follow, on Linux.

    glibc gives arrays of megabytes back as soon as they are freed, and every frame would fetch them anew, page by page.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT)
        library.mallopt(_M_ARENA_MAX, _ARENAS)
