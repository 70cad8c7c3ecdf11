"""`percpu-emu list`: what ships, read without importing any of it."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import TypeAlias

from percpu_emu.bundled import bundled_files, bundled_kernels
from percpu_emu.scenario.finding import shipped

Catalogue: TypeAlias = dict[str, dict[str, str]]
PROTOCOLS = {
    "original": "kernel/original.py",
    "patched": "kernel/release.py",
    "patch-2022": "kernel/release_2022.py",
}


def catalogue() -> Catalogue:
    """Kind -> name -> one line."""
    package = Path(__file__).parent.parent
    return {
        "scenarios": {name: entry.summary for name, entry in shipped().items()},
        "programs": {name: _doc_line(path) for name, path in bundled_files("workers", ".py").items()},
        "protocols": {name: _doc_line(package / file) for name, file in PROTOCOLS.items()},
        "kernels": {name: _kernel_line(path) for name, path in bundled_kernels().items()},
    }


def print_catalogue(entries: Catalogue) -> None:
    """As text, one section for each kind."""
    width = max(len(name) for names in entries.values() for name in names)
    for kind, names in entries.items():
        print(f"{kind}:")
        for name, line in names.items():
            print(f"  {name:{width}}  {line}")
    print("\npercpu-emu show NAME tells more; percpu-emu run SCENARIO runs one.")


def _kernel_line(path: Path) -> str:
    profile = tomllib.loads(path.read_text(encoding="utf-8"))
    return f"{profile['title']}{'' if profile['verified'] else ' (sizes not verified)'}"


def _doc_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
