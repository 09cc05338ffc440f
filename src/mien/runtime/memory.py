"""How glibc's malloc gives memory back; the server and the trainer each want another way."""

from __future__ import annotations

import ctypes
import platform
from typing import Literal

#: The numbers of malloc.h.
_OPTIONS = {"trim_threshold": -1, "top_pad": -2, "mmap_threshold": -3, "mmap_max": -4}

MallocOption = Literal["trim_threshold", "top_pad", "mmap_threshold", "mmap_max"]


def set_malloc(options: dict[MallocOption, int]) -> bool:
    """Set these options, in bytes (mmap_max in pieces), for the process.

    Returns:
        Whether all were taken. Where the C library is not glibc, nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    taken = [libc.mallopt(_OPTIONS[name], value) for name, value in options.items()]
    return all(taken)
