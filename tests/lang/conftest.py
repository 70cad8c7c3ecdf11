from __future__ import annotations

import importlib.util
import itertools
import sys
from typing import TYPE_CHECKING

import pytest

from percpu_emu.lang.modules import load_compiled
from percpu_emu.shm.code_folder import code_folder

from .rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

_serial = itertools.count(1)


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A CPU for any program."""
    rig = Rig()
    yield rig
    rig.close()


@pytest.fixture
def module_of(tmp_path: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Makes a module of a program's text, since a program is compiled from its source file."""
    made = []

    def make(text: str) -> ModuleType:
        name = f"written_{next(_serial)}"
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        made.append(name)
        spec.loader.exec_module(module)
        return module

    yield make
    for name in made:
        del sys.modules[name]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PERCPU_EMU_CACHE", str(folder))
    forget()
    yield folder
    forget()


def forget() -> None:
    """Have this process look for its cache folder, and load from it, as a new one would."""
    code_folder.cache_clear()
    load_compiled.cache_clear()
