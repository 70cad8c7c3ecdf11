"""Finding the programs that CPUs run: one small file a workload, by name or by path."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from percpu_emu.bundled import bundled, bundled_files
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.source import is_program
from percpu_emu.scenario.paths import is_a_file
from percpu_emu.scenario.trial import fault_of
from percpu_emu.scenario.wording import allowed

WORKER_ARGUMENTS = 2


class ProgramNotFound(ValueError):
    """No such program, or a file that holds none."""


def find_program(name: str, folder: Path) -> ProgramFunction:
    """The worker of that name, or in the file at that path (from `folder`, or from here), whose name is its own."""
    known = bundled_files("workers", ".py")
    candidates = [known[name]] if name in known else [folder / name, Path(name)]
    path = next((candidate for candidate in candidates if is_a_file(candidate)), None)
    if path is None:
        raise ProgramNotFound(f"found {name[:80]!r}, {allowed(name, known, ', or the path of a file')}")
    return _program_in(path)


def load_module(path: Path) -> ModuleType:
    """The module in a file of programs. One that does not ship is tried out first: it may define, and nothing else."""
    if not any(path.resolve().is_relative_to(bundled(kind).resolve()) for kind in ("workers", "scenarios")):
        if path.suffix != ".py":
            raise ProgramNotFound(f"found {str(path)!r}, allowed: a Python file, which ends in .py")
        if fault := fault_of(path):
            raise ProgramNotFound(fault)
    return execute(path)


def execute(path: Path) -> ModuleType:
    """The module in a file, which Python executes here and now."""
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]
    name = f"percpu_emu_worker_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _program_in(path: Path) -> ProgramFunction:
    module = load_module(path)
    function: ProgramFunction | None = getattr(module, path.stem.replace("-", "_"), None)
    if function is None or not is_program(function):
        raise ProgramNotFound(f"{path} has no program (a function that yields operations) named {path.stem}")
    if function.__code__.co_argcount != WORKER_ARGUMENTS:
        raise ProgramNotFound(f"{path}: {path.stem} takes (memcg, turn), not {function.__code__.co_argcount} arguments")
    return function
