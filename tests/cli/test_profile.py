"""`percpu-emu profile`: a profile out of a kernel's types, that `--kernel` takes; and what is wrong, in a line."""

from __future__ import annotations

import json
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from percpu_emu.cli.profile import RUNNING
from percpu_emu.kernel.profile import load_profile
from percpu_emu.report.result import Report
from tests.kernel.btf_builder import KernelBuilder, elf

from .commands import command

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="btf")
def path_of_btf(tmp_path: Path) -> Path:
    path = tmp_path / "vmlinux"
    path.write_bytes(KernelBuilder(stats=50, events=90).with_percpu(212992).build())
    return path


def test_a_profile_is_written_and_used(btf: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    result = command("profile", "--btf", str(btf), "-o", str(mine))
    assert (result.returncode, result.stderr) == (0, "")
    for said in ("takes 3120 bytes on each CPU", "psi_group_cpu (cgroup_create: psi_cgroup_alloc)", "Assumed, since"):
        assert said in result.stdout
    profile = load_profile(mine)
    assert (profile.name, profile.percpu.boot_pages, profile.verified) == ("mine", 61, True)
    assert profile.counters.model_dump() == {
        "MEMCG_CHARGE_BATCH": 64,
        "MEMCG_NR_STAT": 50,
        "NR_VM_EVENT_ITEMS": 90,
        "NR_VM_NODE_STAT_ITEMS": 50,
    }
    shown = command("show", str(mine)).stdout
    assert "Sizes verified: BTF of " in shown
    assert "Assumed: the first chunk" not in shown
    used = command("footprint", "--kernel", str(mine), "--cpus", "4", "--cgroups", "10", "--json")
    assert used.returncode == 0, used.stderr


def test_a_profile_is_printed_as_toml_and_the_rest_said_beside(btf: Path) -> None:
    result = command("profile", "--btf", str(btf), "--boot-pages", "70")
    assert tomllib.loads(result.stdout)["percpu"]["boot_pages"] == 70
    assert "Not found, so this kernel or its configuration has none:" in result.stderr


def test_the_object_has_the_profile_and_what_is_missing(btf: Path) -> None:
    report = Report.model_validate(json.loads(command("profile", "--btf", str(btf), "--json").stdout))
    assert report.figures["profile"]["percpu_area"][0]["name"] == "cgroup.self.refcnt"
    assert any("obj_cgroup" in what for what in report.figures["not_found"])


def test_an_object_file_leaves_the_boot_pages_to_be_assumed(tmp_path: Path) -> None:
    (tmp_path / "a.o").write_bytes(elf({".data..percpu": bytes(64), ".BTF": KernelBuilder().build()}, relocatable=True))
    assert "the first chunk has 61 pages a unit" in command("profile", "--btf", str(tmp_path / "a.o")).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--btf", "/etc/hostname"], "/etc/hostname: it is neither BTF, nor an ELF file, nor a compressed kernel"),
        (["--btf", "/none"], "/none: there is no such file"),
        (["--btf", "/dev/zero"], "/dev/zero: it is not a regular file"),
        (["--btf", "{btf}", "--boot-pages", "9"], "9 boot pages: found no room for static variables"),
        (["--btf", "{btf}", "-o", "/none/mine.toml"], "-o /none/mine.toml: there is no folder /none"),
    ],
)
def test_what_is_wrong_is_told_in_a_line_with_exit_code_2(btf: Path, arguments: list[str], said: str) -> None:
    result = command("profile", *(argument.replace("{btf}", str(btf)) for argument in arguments))
    assert (result.returncode, result.stdout) == (2, "")
    assert f"percpu-emu: {said}" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_kernel_without_memory_cgroups_is_refused(tmp_path: Path) -> None:
    builder = KernelBuilder()
    (tmp_path / "other").write_bytes(builder.build().replace(b"\0mem_cgroup\0", b"\0mem_cgruop\0"))
    result = command("profile", "--btf", str(tmp_path / "other"))
    assert result.returncode == 2
    assert "the kernel has no structure mem_cgroup" in result.stderr


def test_here_takes_the_host_and_no_other_machine() -> None:
    for option in ("--cpus", "--nodes", "--kernel"):
        result = command("footprint", "--here", option, "2")
        assert (result.returncode, result.stdout) == (2, "")
        assert f"--here takes that from this host: leave {option} out" in result.stderr


def test_a_packer_that_is_not_installed_is_a_lack_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "vmlinuz").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    result = command("profile", "--btf", str(tmp_path / "vmlinuz"))
    assert result.returncode == 3
    assert "install percpu-emu[kernels], or unpack the kernel by the program zstd first" in result.stderr


@pytest.mark.skipif(not RUNNING.exists(), reason="this machine's kernel has no BTF")
def test_this_host_is_counted_beside_its_own_figures() -> None:
    result = command("footprint", "--here", "--cgroups", "5", "--json")
    assert result.returncode in (0, 2), result.stderr  # 2: a kernel without memory cgroups
    if result.returncode == 0:
        report = Report.model_validate(json.loads(result.stdout))
        assert report.figures["here"]["percpu_kb"] > 0
        assert any(note.startswith("this host, Linux ") for note in report.notes)
