"""The types of kernels: read right, from every file that has them, and refused in a sentence where one is wrong."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from shutil import which

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from percpu_emu.kernel.btf import Btf, BtfError, image, read_image, table, unpack
from percpu_emu.kernel.derive import derive
from percpu_emu.kernel.profile import ProfileError, profile_of
from percpu_emu.kernel.profile_text import profile_text

from .btf_builder import BtfBuilder, KernelBuilder, bzimage, elf

RUNNING = Path("/sys/kernel/btf/vmlinux")
KERNEL = KernelBuilder().with_percpu(100_000).build()
ELF = elf({".text": bytes(100), ".data..percpu": bytes(4096), ".BTF": KERNEL})


@pytest.mark.parametrize("order", ["<", ">"])
def test_sizes_offsets_and_constants_are_read_in_either_byte_order(order: str) -> None:
    b = BtfBuilder(order)
    inner = b.structure("inner", 12, [("x", b.int, 0), ("y", b.array(b.int, 2), 4)])
    unnamed = b.structure("", 8, [("u", b.long, 0), ("v", b.int, 0)], kind=5)
    alias = b.add(8, "alias", b.add(10, rest=inner))  # a typedef of a const
    b.structure("outer", 128, [("a", b.int, 0), ("", unnamed, 8), ("i", alias, 16), ("p", b.pointer(alias), 32)])
    square = b.array(b.array(inner, 3), 5)
    b.enum("items", {"NR_FIRST": 0, "MEMCG_NR_STAT": 50, "NEGATIVE": -1})
    btf = Btf(b.build())
    outer = btf.structure("outer")
    assert outer is not None
    assert (outer.size, outer.members["v"][0], outer.members["i"][0]) == (128, 8, 16)
    assert btf.size(outer.members["i"][1]) == 12
    assert btf.target(outer.members["p"][1]) == inner
    assert btf.target(outer.members["a"][1]) is None
    assert (btf.size(square), btf.length(square), btf.length(inner)) == (180, 5, None)
    assert (btf.constant("MEMCG_NR_STAT"), btf.constant("NR_FIRST"), btf.constant("NOT_THERE")) == (50, 0, None)
    assert (btf.structure("alias"), btf.pointer_size) == (None, 8)


def test_bit_fields_have_the_offset_of_their_first_byte() -> None:
    b = BtfBuilder()
    b.add(4, "flags", 8, b.pack("3I", b.name("f"), b.int, 3 << 24 | 37), entries=1, flag=1)
    found = Btf(b.build()).structure("flags")
    assert found is not None
    assert found.members["f"][0] == 4


def test_a_structure_padded_to_cache_lines_is_aligned_to_them() -> None:
    b = BtfBuilder()
    padded = b.structure("padded", 1024, [("a", b.array(b.long, 123), 0)])
    plain = b.structure("plain", 984, [("a", b.array(b.long, 123), 0)])
    small = b.structure("small", 8, [("a", b.int, 0), ("b", b.int, 4)])
    btf = Btf(b.build())
    assert [btf.alignment(number) for number in (padded, plain, small)] == [64, 8, 4]


def test_the_target_of_a_pointer_may_be_known_by_another_file_only() -> None:
    b = BtfBuilder()
    whole = b.structure("whole", 16, [("a", b.long, 0)])
    pointer = b.pointer(b.add(7, "whole"))
    unknown = b.pointer(b.add(7, "unknown"))
    nothing = b.pointer(0)
    btf = Btf(b.build())
    assert [btf.target(number) for number in (pointer, unknown, nothing)] == [whole, None, None]


# --- where a file has it

PACKED = {
    "gzip": gzip.compress(ELF) + b"1234",
    "xz": lzma.compress(ELF, check=lzma.CHECK_CRC32) + b"1234",
    "lzma": lzma.compress(ELF, format=lzma.FORMAT_ALONE) + b"1234",
    "bzip2": bz2.compress(ELF) + b"1234",
}


def packed(name: str) -> bytes:
    if name == "zstd":
        return bytes(pytest.importorskip("zstandard").compress(ELF)) + b"1234"
    if name == "lz4":
        block = pytest.importorskip("lz4.block").compress(ELF, store_size=False)
        return struct.pack("<II", 0x184C2102, len(block)) + block + struct.pack("<I", len(ELF))
    return PACKED[name]


@pytest.fixture(name="file")
def path_of_a_file(tmp_path: Path) -> Path:
    return tmp_path / "kernel"


def static_percpu(path: Path, data: bytes) -> int | None:
    path.write_bytes(data)
    found = read_image(path)
    assert found.btf.structure("mem_cgroup") is not None
    return found.static_percpu


def test_raw_btf_and_elf_files_are_read(file: Path) -> None:
    assert static_percpu(file, KERNEL) == 100_000
    assert static_percpu(file, KernelBuilder().build()) is None
    assert static_percpu(file, ELF) == 4096
    assert static_percpu(file, elf({".data..percpu": bytes(64), ".BTF": KERNEL}, relocatable=True)) is None


@pytest.mark.parametrize("name", ["gzip", "xz", "lzma", "bzip2", "lz4", "zstd"])
def test_a_compressed_kernel_is_read_alone_and_in_a_bzimage(file: Path, name: str) -> None:
    assert static_percpu(file, bzimage(packed(name))) == 4096
    if name not in ("lz4", "zstd"):
        assert static_percpu(file, packed(name)) == 4096
        assert static_percpu(file, gzip.compress(bzimage(packed(name)))) == 4096


def test_a_packer_without_a_library_is_named_with_what_to_do(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    file.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    with pytest.raises(unpack.MissingUnpacker, match="by zstd, for which this Python has no library: install percpu-"):
        read_image(file)


def broken_files() -> dict[str, tuple[bytes, str]]:
    huge = bytearray(ELF)
    struct.pack_into("<Q", huge, 40, 1 << 60)
    foreign = bytearray(ELF)
    foreign[4] = 1
    bits = bytearray(KERNEL)
    struct.pack_into("<I", bits, 12, 1 << 31)
    return {
        "empty": (b"", "neither BTF, nor an ELF file, nor a compressed kernel"),
        "text": (b"#!/bin/sh\n" * 100, "neither BTF, nor an ELF file"),
        "header only": (KERNEL[:20], "the BTF is cut short: 20 bytes, where the header alone has 24"),
        "types cut": (KERNEL[:200], "cut short: its types end at byte"),
        "strings cut": (KERNEL[:-1], "cut short: its strings end at byte"),
        "huge section": (bytes(bits), "cut short: its types end at byte"),
        "version": (KERNEL[:2] + b"\7" + KERNEL[3:], "has version 7"),
        "elf cut": (ELF[:1000], "cut short: its section headers would end at byte"),
        "elf far": (bytes(huge), "cut short: its section headers would end at byte"),
        "elf 32": (bytes(foreign), "not a 64-bit one"),
        "elf without": (elf({".text": b"x"}), "has no section .BTF"),
        "elf nobits": (elf({".BTF": KERNEL}, nobits=".BTF"), "is empty or compressed"),
        "gzip cut": (gzip.compress(ELF)[:-20], "its gzip stream is damaged or cut short"),
        "xz damaged": (PACKED["xz"][:40] + b"????" + PACKED["xz"][44:], "its xz stream is damaged or cut short"),
        "bz2 cut": (PACKED["bzip2"][:60], "its bzip2 stream is damaged or cut short"),
        "thrice": (gzip.compress(gzip.compress(gzip.compress(ELF))), "compressed more than twice"),
        "old": (bzimage(PACKED["gzip"], 0x203), "older than 2.6.26"),
        "bzimage cut": (bzimage(PACKED["gzip"])[:1100], "its payload would end at byte"),
        "lzo": (bzimage(b"\x89LZO" + bytes(100)), "not compressed by gzip, xz, lzma"),
    }


@pytest.mark.parametrize("name", broken_files())
def test_a_file_that_is_not_right_is_refused_in_a_sentence(file: Path, name: str) -> None:
    data, said = broken_files()[name]
    file.write_bytes(data)
    with pytest.raises(BtfError) as caught:
        read_image(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(BtfError, match="it is not a regular file"):
            read_image(path)
    for path in (tmp_path / "none", tmp_path / "a\0b"):
        with pytest.raises(BtfError, match="there is no such file"):
            read_image(path)


def test_a_stream_without_an_end_is_given_up_at_the_limit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MOST_UNPACKED", 10_000)
    for data in (gzip.compress(bytes(1 << 20)), lzma.compress(bytes(1 << 20)), bz2.compress(bytes(1 << 20))):
        file.write_bytes(data)
        with pytest.raises(BtfError, match="unpacks to more than 10000 bytes"):
            read_image(file)
    monkeypatch.setattr(image, "MOST_BTF", 100)
    for data in (KERNEL, ELF):
        file.write_bytes(data)
        with pytest.raises(BtfError, match=r"more than 100 bytes|100 are the most that is read"):
            read_image(file)


# --- hostile types


def hostile() -> dict[str, tuple[BtfBuilder, str]]:
    circle, arrays, inside, wide = BtfBuilder(), BtfBuilder(), BtfBuilder(), BtfBuilder()
    circle.structure("s", 8, [("m", 4, 0)])
    circle.add(8, "t", 4)
    arrays.structure("s", 8, [("m", 4, 0)])
    arrays.array(4, 1 << 31)
    inside.structure("s", 8, [("", 3, 0)])
    wide.structure("s", 8, [("", 4, 0)] * 60000)
    wide.structure("", 8, [("", 5, 0)] * 60000)
    wide.structure("", 8, [("x", 2, 0)])
    names, types, kinds = BtfBuilder(), BtfBuilder(), BtfBuilder()
    names.add(4, rest=8, tail=names.pack("3I", 99_999, 1, 0), entries=1)
    names.types[-1] = names.pack("I", names.name("s")) + names.types[-1][4:]
    types.structure("s", 8, [("m", 77, 0)])
    kinds.add(25, "x")
    twice = BtfBuilder()
    twice.structure("s", 8, [])
    twice.structure("s", 16, [])
    return {
        "circle": (circle, "a name of a name without an end"),
        "arrays": (arrays, "an array of arrays without an end"),
        "inside": (inside, "deeper than 64 types within each other"),
        "wide": (wide, "have more than 100000 members"),
        "names": (names, "has a name at byte 99999 of its strings, which end at"),
        "types": (types, "names type 77 of 3: it is damaged, or that of a module"),
        "kinds": (kinds, "has kind 25, where 1 to 19 are known"),
        "twice": (twice, "has several structures s, of 8 and 16 bytes"),
    }


@pytest.mark.parametrize("name", hostile())
@pytest.mark.timeout(20)
def test_types_that_cannot_be_are_refused_in_a_sentence(name: str) -> None:
    builder, said = hostile()[name]
    with pytest.raises(BtfError) as caught:
        ask(Btf(builder.build()))
    assert said in str(caught.value)


def ask(btf: Btf) -> None:
    found = btf.structure("s")
    for _, number in found.members.values() if found else ():
        btf.size(number)
        btf.alignment(number)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(KERNEL) - 1), st.integers(0, 255)), max_size=12),
    st.integers(0, len(KERNEL)),
    st.sampled_from(["<", ">"]),
)
def test_a_damaged_kernel_is_read_or_refused_and_nothing_else(
    changes: list[tuple[int, int]], end: int, order: str
) -> None:
    data = bytearray(KERNEL if order == "<" else KernelBuilder(">").build())
    for at, value in changes:
        data[at % len(data)] = value
    whole = bytes(data[: end if end % 3 == 0 else len(data)])
    with suppress(BtfError, ProfileError):
        btf = Btf(whole)
        derived = derive(image.KernelImage(btf, btf.section_size(".data..percpu")), "x", "x", "x")
        assert profile_of(tomllib.loads(profile_text(derived.profile)), "") == derived.profile


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["elf", *PACKED, "lz4", "zstd"]),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=8),
    st.integers(0, 1 << 20),
)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, name: str, boots: bool, changes: list[tuple[int, int]], end: int
) -> None:
    data = bytearray(ELF if name == "elf" else bzimage(packed(name)) if boots else packed(name))
    for at, value in changes:
        data[at % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data[: end % len(data)] if end % 3 == 0 else data)
    with suppress(BtfError):
        assert read_image(path).btf.pointer_size


@pytest.mark.parametrize("name", ["lz4", "zstd"])
@pytest.mark.parametrize("end", [6, 9, 100])
def test_a_stream_of_a_library_that_is_cut_is_refused(file: Path, name: str, end: int) -> None:
    file.write_bytes(packed(name)[:end])
    with pytest.raises(BtfError, match=f"its {name} stream is damaged or cut short|neither BTF, nor an ELF file"):
        read_image(file)


@pytest.mark.timeout(60)
def test_a_million_types_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_MOST_TYPES", 1000)
    builder = BtfBuilder()
    builder.types += [builder.pack("3I", 0, 2 << 24, 0)] * 1000
    with pytest.raises(BtfError, match="has more than 1000 types"):
        Btf(builder.build())


# --- against another reader


@pytest.mark.skipif(which("pahole") is None, reason="pahole is not installed: Debian's package dwarves")
@pytest.mark.skipif(not RUNNING.exists(), reason="this machine's kernel has no BTF")
@pytest.mark.parametrize("name", ["mem_cgroup", "cgroup", "task_struct", "kernfs_node", "percpu_ref_data"])
def test_the_sizes_are_those_that_pahole_tells(name: str) -> None:
    command = ["pahole", "-C", name, str(RUNNING)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = read_image(RUNNING).btf.structure(name)
    assert found is not None
    assert f"/* size: {found.size}," in told
