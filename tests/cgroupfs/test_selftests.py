"""The kernel's own selftests of cgroups, built by who runs the tests: which pass, and which cannot."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import pytest

from tests.cgroupfs.conftest import needs_fuse, shell

VARIABLE: Final = "PERCPU_EMU_SELFTESTS"
"""The folder with the built programs: tools/testing/selftests/cgroup of a Linux tree."""
OUTCOMES: Final = {
    "test_core": {
        "test_cgcore_internal_process_constraint": "ok",
        "test_cgcore_top_down_constraint_enable": "ok",
        "test_cgcore_top_down_constraint_disable": "ok",
        "test_cgcore_no_internal_process_constraint_on_threads": "skip",
        "test_cgcore_parent_becomes_threaded": "not ok",
        "test_cgcore_invalid_domain": "not ok",
        "test_cgcore_populated": "ok",
        "test_cgcore_proc_migration": "ok",
        "test_cgcore_thread_migration": "not ok",
        "test_cgcore_destroy": "ok",
        "test_cgcore_lesser_euid_open": "ok",
        "test_cgcore_lesser_ns_open": "not ok",
    },
    "test_kmem": {
        "test_kmem_basic": "not ok",
        "test_kmem_memcg_deletion": "not ok",
        "test_kmem_proc_kpagecgroup": "ok",
        "test_kmem_kernel_stacks": "not ok",
        "test_kmem_dead_cgroups": "ok",
        "test_percpu_basic": "not ok",
    },
    "test_memcontrol": {
        "test_memcg_subtree_control": "ok",
        "test_memcg_current": "not ok",
        "test_memcg_min": "not ok",
        "test_memcg_low": "not ok",
        "test_memcg_high": "not ok",
        "test_memcg_max": "not ok",
        "test_memcg_oom_events": "not ok",
        "test_memcg_swap_max": "skip",
        "test_memcg_sock": "ok",
        "test_memcg_oom_group_leaf_events": "not ok",
        "test_memcg_oom_group_parent_events": "not ok",
        "test_memcg_oom_group_score_events": "not ok",
    },
}
"""Of Linux 5.15, on a computer without swap."""


def outcomes(text: str) -> dict[str, str]:
    """What a program says of each test. A test that forks may have its children say again what was said before."""
    found = re.findall(r"^((?:not )?ok) \d+ (# SKIP )?(\w+)", text, re.MULTILINE)
    return {name: "skip" if skipped else result for result, skipped, name in found}


def test_outcomes_are_read_as_the_selftests_say_them() -> None:
    text = "ok 1 test_a\nok 1 test_a\nnot ok 2 test_b\nok 3 # SKIP test_c\npercpu-emu: pass\n"
    assert outcomes(text) == {"test_a": "ok", "test_b": "not ok", "test_c": "skip"}


@needs_fuse
@pytest.mark.skipif(VARIABLE not in os.environ, reason=f"this machine has no selftests: {VARIABLE} names no folder")
@pytest.mark.parametrize("program", OUTCOMES)
def test_a_selftest_ends_as_the_table_says(program: str) -> None:
    built = Path(os.environ[VARIABLE], program)
    done = shell(str(built), options=("--shim",), cwd=built.parent)
    assert outcomes(done.stdout) == OUTCOMES[program]
    assert "percpu-emu: pass" in done.stderr


@needs_fuse
@pytest.mark.skipif(VARIABLE not in os.environ, reason=f"this machine has no selftests: {VARIABLE} names no folder")
def test_without_the_preload_library_a_selftest_finds_no_cgroup2() -> None:
    done = shell(str(Path(os.environ[VARIABLE], "test_core")), cwd=os.environ[VARIABLE])
    assert done.stdout == "1..0 # SKIP cgroup v2 isn't mounted\n"
