"""A host is read from its /proc and /sys, and what is missing or makes no sense is named, not guessed."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from percpu_emu.kernel.host import CgroupCounts, HostError, numbers, read_host

FILES = {
    "proc/sys/kernel/osrelease": "6.1.0-56-cloud-amd64\n",
    "sys/devices/system/cpu/possible": "0-7\n",
    "sys/devices/system/cpu/online": "0-2,4\n",
    "sys/devices/system/node/possible": "0-1\n",
    "sys/devices/system/node/online": "0-1\n",
    "sys/devices/system/node/node0/cpulist": "0-1,4\n",
    "sys/devices/system/node/node1/cpulist": "2\n",
    "proc/meminfo": "MemTotal:  100 kB\nSlab:   3300 kB\nPercpu:   8192 kB\n",
    "proc/zoneinfo": (
        "Node 0, zone DMA\n  per-node stats\n      nr_slab_reclaimable 500\n      nr_slab_unreclaimable 250\n"
        "Node 0, zone Normal\n  pages free 1\nNode 1, zone Normal\n  per-node stats\n      nr_slab_reclaimable 75\n"
    ),
    "proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t0\t9\t1\nmemory\t0\t240\t1\n",
    "proc/self/mountinfo": (
        "31 23 0:28 / /proc rw - proc proc rw\n32 23 0:29 / /sys/fs/my\\040cgroup rw,relatime shared:9 - cgroup2 c rw\n"
    ),
    "sys/fs/my cgroup/cgroup.stat": "nr_descendants 40\nnr_dying_descendants 199\nnr_subsys_memory 41\n",
}


@pytest.fixture(name="root")
def a_host(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_everything_is_read_in_its_units(root: Path) -> None:
    host = read_host(root)
    assert (host.release, host.possible_cpus, host.online_cpus) == ("6.1.0-56-cloud-amd64", 8, 4)
    assert (host.cpus_per_node, host.possible_nodes) == ((5, 3), 2)
    assert (host.percpu_kb, host.slab_kb) == (8192, 3300)
    assert host.slab_kb_of_nodes == {0: 3000, 1: 300}
    assert (host.memory_cgroups, host.dying) == (240, 199)
    assert host.cgroups == (CgroupCounts("/sys/fs/my cgroup", 40, 199),)
    assert host.not_read == ("the node of 4 CPUs that are not online: they are spread over the nodes",)


def test_the_machine_that_runs_the_tests_is_read() -> None:
    host = read_host()
    assert host.possible_cpus >= (host.online_cpus or 1)
    assert host.percpu_kb
    assert host.slab_kb


@pytest.mark.parametrize("path", [path for path in FILES if path != "sys/devices/system/cpu/possible"])
def test_a_file_that_is_missing_is_named(root: Path, path: str) -> None:
    (root / path).unlink()
    assert f"/{path}: No such file or directory" in read_host(root).not_read


def test_a_host_without_nodes_has_one(root: Path) -> None:
    (root / "sys/devices/system/node/online").unlink()
    assert read_host(root).cpus_per_node == (8,)


def test_nodes_without_cpus_are_said_not_to_be_counted(root: Path) -> None:
    (root / "sys/devices/system/node/node1/cpulist").write_text("\n")
    host = read_host(root)
    assert host.cpus_per_node == (8,)
    assert any(what.startswith("1 node(s) without CPUs") for what in host.not_read)


def test_without_possible_cpus_there_is_no_host(root: Path) -> None:
    (root / "sys/devices/system/cpu/possible").write_text("x\n")
    with pytest.raises(HostError, match="cpu/possible: it does not say how many CPUs there may be"):
        read_host(root)


@given(
    st.sampled_from(sorted(path for path in FILES if not path.endswith("cpu/possible"))),
    st.text(alphabet="0123456789-, \n\tKBkDmemoryNodezslabrunci:_\\x", max_size=60) | st.binary(max_size=40),
)
def test_a_file_with_anything_in_it_ends_no_reading(
    tmp_path_factory: pytest.TempPathFactory, path: str, text: str | bytes
) -> None:
    root = tmp_path_factory.mktemp("host")
    (root / "sys/devices/system/cpu").mkdir(parents=True)
    (root / "sys/devices/system/cpu/possible").write_text("0-3")
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(text.encode() if isinstance(text, str) else text)
    host = read_host(root)
    assert host.possible_cpus == 4
    assert all(counts.dying >= 0 for counts in host.cgroups)


def test_lists_of_cpus_are_read_as_the_kernel_writes_them() -> None:
    assert numbers("0-3,8,10-11\n") == [0, 1, 2, 3, 8, 10, 11]
    assert [numbers(text) for text in ("", "a", "0-", "0-999999", "-1", "1,,2")] == [[], [], [], [], [], [1, 2]]
