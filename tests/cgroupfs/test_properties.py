"""Whatever a script does, in whatever order: the counts of the files agree with what is there, and nothing is lost."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from percpu_emu.cgroupfs.hierarchy import Group
from tests.cgroupfs.conftest import Files

NAMES = ("a", "b")
PATHS = ("a", "b", "a/a", "a/b", "a/a/a")
PAGE = 4096

paths = st.sampled_from(PATHS)
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("mkdir", "rmdir", "put", "on", "off")), paths),
        st.tuples(st.just("limit"), paths, st.sampled_from(("memory.max", "memory.high")), st.integers(0, 6)),
        st.tuples(st.just("save"), st.sampled_from(("x", "y")), st.integers(0, 5)),
        st.tuples(st.just("unlink"), st.sampled_from(("x", "y"))),
        st.tuples(st.just("settle")),
    ),
    max_size=40,
)


def do(files: Files, step: tuple[object, ...]) -> None:
    """One step of a script; what the kernel would refuse is refused."""
    with suppress(OSError):
        match step:
            case ("mkdir", str(path)):
                files.mkdir(f"cgroup/{path}")
            case ("rmdir", str(path)):
                files.rmdir(f"cgroup/{path}")
            case ("put", str(path)):
                files.put(path)
            case ("on" | "off" as what, str(path)):
                files.write(f"cgroup/{path}/cgroup.subtree_control", "+memory" if what == "on" else "-memory")
            case ("limit", str(path), str(name), int(pages)):
                files.write(f"cgroup/{path}/{name}", str(pages * PAGE))
            case ("save", str(name), int(pages)):
                files.save(f"tmp/{name}", bytes(pages * PAGE))
            case ("unlink", str(name)):
                files.unlink(f"tmp/{name}")
            case _:
                files.settle()


def cached(files: Files) -> int:
    """Pages of all files that are in memory."""
    top = files.files.route("tmp")[0]
    return sum(len(inode.pages) for inode in top._top.directory.values())  # type: ignore[attr-defined]


def check(files: Files, group: Group) -> int:
    """That the counts of a cgroup and of everything below agree; its descendants."""
    below = sum(1 + check(files, child) for child in group.children.values())
    assert group.nr_descendants == below
    if group.memory:
        state = group.memory
        assert state.usage == len(state.pages) + sum(child.usage for child in state.children)
        assert 0 <= state.usage <= state.peak
        assert state.usage <= state.limits["max"]
    return below


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=steps)
def test_any_script_leaves_the_counts_right_and_the_memory_free(files: Files, script: list[tuple[object, ...]]) -> None:
    before = files.areas()
    files.system.charges.kill = lambda _memory, _pid: None
    for step in script:
        do(files, step)
        check(files, files.system.hierarchy.root)
        assert files.system.charges.root.usage == cached(files)
    files.empty()
    assert files.system.hierarchy.root.nr_dying_descendants == 0
    assert files.system.charges.root.usage == 0
    assert files.areas() == before
    files.system.running.tree.audit_all()
    assert files.system.running.tree.audit.imbalances == []
