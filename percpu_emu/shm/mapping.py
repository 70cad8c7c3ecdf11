"""Pages mapped at addresses of the caller's choice: over a part of a segment, or where nothing may be."""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Final

from percpu_emu.shm.segment import OutOfPages

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_MAP_FIXED: Final = 0x10
_MAP_NORESERVE: Final = 0x4000
_FAILED: Final = ctypes.c_void_p(-1).value
_READ_WRITE: Final = mmap.PROT_READ | mmap.PROT_WRITE
_NOBODYS: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE


def reserve(length: int) -> int:
    """An address at which so many bytes belong to no mapping: any access raises SIGSEGV. Raises OutOfPages."""
    return _mmap(None, length, 0, _NOBODYS, -1, 0)


def release(address: int, length: int) -> None:
    """Give addresses back, with what is mapped there."""
    _libc.munmap(address, length)


def forbid(address: int, length: int) -> None:
    """Have any access to these pages raise SIGSEGV, whatever was mapped there."""
    _mmap(address, length, 0, _NOBODYS | _MAP_FIXED, -1, 0)


def map_shared(address: int, length: int, file: int, offset: int = 0) -> None:
    """Map a part of a file there, over what was there. Beyond the file's end an access raises SIGBUS."""
    _mmap(address, length, _READ_WRITE, mmap.MAP_SHARED | _MAP_FIXED, file, offset)


def _mmap(address: int | None, length: int, protection: int, flags: int, file: int, offset: int) -> int:
    mapped = _libc.mmap(address, length, protection, flags, file, offset)
    if mapped in (None, _FAILED):
        raise OutOfPages(f"{length} bytes of addresses refused: {os.strerror(ctypes.get_errno())}")
    return int(mapped)
