"""Where a file has its BTF: raw, in the .BTF section of a vmlinux, or in the vmlinux that a vmlinuz is made of."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from percpu_emu.kernel.btf.table import MAGIC, BtfError
from percpu_emu.kernel.btf.types import Btf
from percpu_emu.kernel.btf.unpack import packer_of, unpacked

if TYPE_CHECKING:
    from pathlib import Path

MB: Final = 1 << 20
MOST_BTF: Final = 64 * MB
MOST_PACKED: Final = 256 * MB
_ELF: Final = b"\x7fELF"
_MAGICS: Final = (MAGIC.to_bytes(2, "little"), MAGIC.to_bytes(2, "big"))
_BOOT_HEADER: Final = 0x250
_SECTIONS: Final = 4096
_ET_REL: Final = 1
_SHT_NOBITS: Final = 8
_SHF_COMPRESSED: Final = 0x800


@dataclass(frozen=True)
class KernelImage:
    """A kernel's types, and the bytes of its static per-CPU variables; None where the file does not tell."""

    btf: Btf
    static_percpu: int | None


class _Section(NamedTuple):
    name: bytes
    kind: int
    flags: int
    offset: int
    size: int


def read_image(path: Path) -> KernelImage:
    """The kernel in a file. Raises BtfError, which names the file, and OSError where the file cannot be read."""
    try:
        if path.exists() and not path.is_file():  # to open a pipe would wait for its writer
            raise BtfError("it is not a regular file")
        with path.open("rb") as file:
            return _image(file)
    except (FileNotFoundError, ValueError) as error:
        known = isinstance(error, BtfError)
        raise (type(error) if known else BtfError)(f"{path}: {error if known else 'there is no such file'}") from error


def _image(file: BinaryIO) -> KernelImage:
    for _ in range(3):  # a vmlinuz that was compressed once more is the most there is
        start = file.read(_BOOT_HEADER)
        if start[:2] in _MAGICS:
            btf = Btf(start + _read(file, len(start), MOST_BTF, "BTF"))
            return KernelImage(btf, btf.section_size(".data..percpu"))
        if start[:4] == _ELF:
            return _from_elf(file)
        file = io.BytesIO(unpacked(_packed(file, start)))
    raise BtfError("it is compressed more than twice")


def _packed(file: BinaryIO, start: bytes) -> bytes:
    """The compressed kernel: the payload of a bzImage (Documentation/arch/x86/boot.rst), or the whole file."""
    if len(start) == _BOOT_HEADER and start[0x202:0x206] == b"HdrS":
        version, sectors = struct.unpack_from("<H", start, 0x206)[0], start[0x1F1] or 4
        offset, length = struct.unpack_from("<II", start, 0x248)
        if version < 0x208:
            raise BtfError("it is a kernel older than 2.6.26, which does not say where its payload is")
        if length > MOST_PACKED:
            raise BtfError(f"its payload has {length} bytes, where {MOST_PACKED} are the most that is read")
        return _exactly(file, 512 * (sectors + 1) + offset, length, "payload")
    if packer_of(start) is None:
        raise BtfError("it is neither BTF, nor an ELF file, nor a compressed kernel")
    return start + _read(file, len(start), MOST_PACKED, "compressed file")


def _from_elf(file: BinaryIO) -> KernelImage:
    sections = _sections(file)
    btf = _section(sections, b".BTF")
    if btf is None:
        raise BtfError("the ELF file has no section .BTF (a kernel has one with CONFIG_DEBUG_INFO_BTF)")
    if btf.kind == _SHT_NOBITS or btf.flags & _SHF_COMPRESSED:
        raise BtfError("the section .BTF of the ELF file is empty or compressed")
    if btf.size > MOST_BTF:
        raise BtfError(f"its section .BTF has {btf.size} bytes, where {MOST_BTF} are the most that is read")
    types = Btf(_exactly(file, btf.offset, btf.size, "section .BTF"))
    percpu = None if _is_object(file) else _section(sections, b".data..percpu")
    return KernelImage(types, percpu.size if percpu else None)


def _is_object(file: BinaryIO) -> bool:
    """Whether it is one object file, which has a part of the kernel's variables only."""
    return _ET_REL in _exactly(file, 16, 2, "ELF header")


def _section(sections: list[_Section], name: bytes) -> _Section | None:
    return next((section for section in sections if section.name == name), None)


def _sections(file: BinaryIO) -> list[_Section]:
    """The sections of a 64-bit ELF file (System V ABI, chapter 4)."""
    header = _exactly(file, 0, 64, "ELF header")
    if header[4] != 2 or header[5] not in (1, 2):
        raise BtfError("the ELF file is not a 64-bit one, and only kernels with 8-byte pointers are known")
    order = "<" if header[5] == 1 else ">"
    offset, each, count, names = struct.unpack_from(order + "Q10xHHH", header, 40)
    if each != 64:
        raise BtfError(f"the ELF file has section headers of {each} bytes, where 64 are right")
    if not 0 < count <= _SECTIONS:
        raise BtfError(f"the ELF file has {count} sections, where 1 to {_SECTIONS} are read")
    raw = _exactly(file, offset, each * count, "section headers")
    rows = [struct.unpack_from(order + "IIQQQQ", raw, each * index) for index in range(count)]
    if names >= count:
        raise BtfError("the ELF file does not say where the names of its sections are")
    *_, at, size = rows[names]
    text = _exactly(file, at, min(size, MB), "names of sections")
    return [
        _Section(text[name : name + 64].partition(b"\0")[0], kind, flags, start, length)
        for name, kind, flags, _, start, length in rows
    ]


def _exactly(file: BinaryIO, offset: int, length: int, what: str) -> bytes:
    size = file.seek(0, os.SEEK_END)
    if offset + length > size:
        raise BtfError(f"it is cut short: its {what} would end at byte {offset + length} of {size}")
    file.seek(offset)
    return file.read(length)


def _read(file: BinaryIO, offset: int, most: int, what: str) -> bytes:
    file.seek(offset)
    data = file.read(most + 1)
    if len(data) > most:
        raise BtfError(f"it is too large for a {what}: more than {most} bytes")
    return data
