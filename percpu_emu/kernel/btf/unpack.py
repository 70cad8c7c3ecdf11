"""Compressed kernels: which program has packed one, and what is in it, up to a limit."""

from __future__ import annotations

import bz2
import importlib
import lzma
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

from percpu_emu.kernel.btf.table import BtfError

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_UNPACKED: Final = 512 << 20
_XZ_MEMORY: Final = 256 << 20
_LZ4_LEGACY: Final = 0x184C2102
_LZ4_BLOCK: Final = 8 << 20
_PIECE: Final = 8 << 20


def packer_of(start: bytes) -> str | None:
    """How a file that begins with these bytes is compressed; None where it is not, or in a way that is not known."""
    return next((name for name, (magic, _) in _PACKERS.items() if start.startswith(magic)), None)


def unpacked(data: bytes) -> bytes:
    """The kernel in `data`; what stands behind the compressed stream is left alone. Raises BtfError."""
    name = packer_of(data)
    if name is None:
        raise BtfError("its payload is not compressed by gzip, xz, lzma, bzip2, lz4 or zstd")
    try:
        found = _PACKERS[name][1](data)
    except (OSError, ValueError, EOFError, RuntimeError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, BtfError):
            raise
        raise BtfError(f"its {name} stream is damaged or cut short ({error})") from error
    if len(found) > MOST_UNPACKED:
        raise BtfError(f"it unpacks to more than {MOST_UNPACKED} bytes")
    return found


def _gzip(data: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    return _whole(stream.decompress(data, MOST_UNPACKED + 1), stream)


def _xz(data: bytes) -> bytes:
    stream = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    return _whole(stream.decompress(data, MOST_UNPACKED + 1), stream)


def _bzip2(data: bytes) -> bytes:
    stream = bz2.BZ2Decompressor()
    return _whole(stream.decompress(data, MOST_UNPACKED + 1), stream)


def _whole(found: bytes, stream: Any) -> bytes:
    if not stream.eof and len(found) <= MOST_UNPACKED:
        raise EOFError("the end is missing")
    return found


def _lz4(data: bytes) -> bytes:
    """The legacy format of `lz4 -l`, which kernels use: blocks of 8 MB, each behind its length."""
    block = _library("lz4.block", "lz4")
    found, at, last = bytearray(), 4, _LZ4_BLOCK
    while at + 4 <= len(data) and len(found) <= MOST_UNPACKED and last == _LZ4_BLOCK:
        (length,) = struct.unpack_from("<I", data, at)
        at += 4
        if length == _LZ4_LEGACY:  # another stream follows
            continue
        if at + length > len(data):
            raise EOFError("the end is missing")
        try:
            piece = block.decompress(data[at : at + length], uncompressed_size=_LZ4_BLOCK)
        except block.LZ4BlockError as error:
            raise ValueError(error) from error
        found += piece
        at, last = at + length, len(piece)
    return bytes(found)


def _zstd(data: bytes) -> bytes:
    library = _library("zstandard", "zstd")
    reader, found, last = library.ZstdDecompressor().stream_reader(data), bytearray(), _PIECE
    try:
        while len(found) <= MOST_UNPACKED and last == _PIECE:  # a short piece ends the frame; what follows is none
            piece = reader.read(_PIECE)
            found += piece
            last = len(piece)
    except library.ZstdError as error:
        raise ValueError(error) from error
    return bytes(found)


def _library(module: str, packer: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingUnpacker(
            f"it is compressed by {packer}, for which this Python has no library: install percpu-emu[kernels], "
            f"or unpack the kernel by the program {packer} first"
        ) from error


class MissingUnpacker(BtfError):
    """The file may be right, but nothing here can unpack it."""


_PACKERS: Final[dict[str, tuple[bytes, Callable[[bytes], bytes]]]] = {
    "gzip": (b"\x1f\x8b", _gzip),
    "xz": (b"\xfd7zXZ\0", _xz),
    "lzma": (b"\x5d\0\0", _xz),
    "bzip2": (b"BZh", _bzip2),
    "lz4": (_LZ4_LEGACY.to_bytes(4, "little"), _lz4),
    "zstd": (b"\x28\xb5\x2f\xfd", _zstd),
}
