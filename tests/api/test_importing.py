"""`import percpu_emu` is fast, and its names are the API's."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import percpu_emu

HEAVY = {"numba", "numpy", "pydantic", "rich", "llvmlite"}


def fresh(code: str) -> object:
    """What code prints, as JSON, in a process of its own."""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


@pytest.mark.parametrize("module", ["percpu_emu", "percpu_emu.pytest_plugin"])
def test_an_import_imports_nothing_that_is_slow(module: str) -> None:
    loaded = fresh(f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))")
    assert isinstance(loaded, list)
    assert module in loaded
    assert not HEAVY & {*loaded}


def test_every_name_is_there_and_listed() -> None:
    for name in percpu_emu.__all__:
        assert getattr(percpu_emu, name) is not None
    assert {*percpu_emu.__all__} <= {*dir(percpu_emu)}
    assert {*percpu_emu._MODULES, "__version__"} == {*percpu_emu.__all__}


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'percpu_emu' has no attribute 'explode'"):
        percpu_emu.explode  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", ["explore", "replay"])
def test_a_package_of_the_same_name_does_not_take_it(name: str) -> None:
    code = f"""if True:
        import json
        import percpu_emu.{name}
        from percpu_emu.{name} import {"search" if name == "explore" else "caller"} as inside
        print(json.dumps([type(percpu_emu.{name}).__name__, inside.__name__]))"""
    assert fresh(code) == ["function", f"percpu_emu.{name}.{'search' if name == 'explore' else 'caller'}"]
