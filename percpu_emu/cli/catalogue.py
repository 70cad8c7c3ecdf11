"""`percpu-emu list`: what ships, read without importing any of it."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import TypeAlias

from percpu_emu.bundled import bundled_files
from percpu_emu.scenario.finding import shipped

Catalogue: TypeAlias = dict[str, dict[str, str]]
PROTOCOLS = {
    "original": "kernel/original.py",
    "patched": "kernel/release.py",
}


def catalogue() -> Catalogue:
    """Kind -> name -> one line."""
    package = Path(__file__).parent.parent
    kernels = sorted((package / "kernel" / "profiles").glob("*.toml"))
    return {
        "scenarios": {name: entry.summary for name, entry in shipped().items()},
        "programs": {name: _doc_line(path) for name, path in bundled_files("workers", ".py").items()},
        "protocols": {name: _doc_line(package / file) for name, file in PROTOCOLS.items()},
        "kernels": {path.stem: _kernel_line(path) for path in kernels},
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
