"""Where scenarios are: those that ship, by name; files by path; in a Python file that declares several, FILE::NAME."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from percpu_emu.bundled import bundled
from percpu_emu.scenario.decorator import dashed, told
from percpu_emu.scenario.paths import is_a_file, is_a_folder
from percpu_emu.scenario.wording import did_you_mean

SEPARATOR: Final = "::"
ENDINGS: Final = (".toml", ".py")
"""Of files that have scenarios."""
UNREADABLE: Final = (OSError, ValueError, SyntaxError, RecursionError)
"""What reading a file raises that is no scenario file."""


class NotFound(ValueError):
    """No scenario of that name or path."""


@dataclass(frozen=True)
class Place:
    """A scenario's file; of a Python file, which of its scenarios."""

    path: Path
    name: str = ""
    alone: bool = True
    """Whether its path alone says which."""

    def __str__(self) -> str:
        return str(self.path) if self.alone else f"{self.path}{SEPARATOR}{self.name}"


@dataclass(frozen=True)
class Entry:
    """A scenario that ships."""

    place: Place
    summary: str
    explored: bool = True
    """Whether it is for `explore`."""


@cache
def shipped() -> dict[str, Entry]:
    """The scenarios that ship, by name: a folder's own first, then those of its folders. Nothing is executed."""
    root = bundled("scenarios")
    paths = [*sorted(root.rglob("*.toml")), *sorted(root.rglob("*.py"))]
    found = [entry for path in paths for entry in scenarios_in(path)]
    found.sort(key=lambda entry: (entry.place.path.parent != root, entry.place.path.parent, entry.place.name))
    return {entry.place.name: entry for entry in found}


def scenarios_in(path: Path) -> list[Entry]:
    """The scenarios of a file, read from its text. Raises UNREADABLE."""
    if path.suffix == ".py":
        declared = declared_in(path)
        return [Entry(Place(path, name, len(declared) == 1), summary) for name, summary in declared.items()]
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return [Entry(Place(path, path.stem), str(document.get("summary", "")), "explore" in document)]


def declared_in(path: Path) -> dict[str, str]:
    """Name and summary of each scenario that a Python file declares, read from its text. Raises UNREADABLE."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and _is_scenario(decorator.func):
                    found[_name(node, decorator)] = told(ast.get_docstring(node))[0]
    return found


def _is_scenario(node: ast.expr) -> bool:
    return (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")) == "scenario"


def _name(node: ast.FunctionDef, decorator: ast.Call) -> str:
    given = [word.value for word in decorator.keywords if word.arg == "name"]
    if given and isinstance(given[0], ast.Constant):
        return str(given[0].value)
    return dashed(node.name)


def find(name: str) -> Place:
    """The scenario of that name, or at that path. Raises NotFound with what there is."""
    known = shipped()
    if name in known:
        return known[name].place
    file, _, which = name.partition(SEPARATOR)
    path = Path(file)
    if is_a_file(path):
        return _in_file(path, which) if path.suffix == ".py" else Place(path, path.stem)
    if is_a_folder(path):
        raise NotFound(f"it is a folder; give the path of a scenario file{_files_in(path)}")
    if path.suffix in (".toml", ".py") or "/" in file:
        raise NotFound(f"there is no such file{_near(path)}")
    near = did_you_mean(name, known) or "give the path of a file, or a name"
    raise NotFound(f"no scenario of that name; {near} (`percpu-emu list` shows all)")


def _in_file(path: Path, which: str) -> Place:
    try:
        declared = list(declared_in(path))
    except UNREADABLE as error:
        raise NotFound(f"cannot be read: {error}") from error
    if which in declared:
        return Place(path, which, len(declared) == 1)
    if not which and len(declared) == 1:
        return Place(path, declared[0])
    if not declared:
        raise NotFound("it declares no scenario: a function under `@scenario(...)` is one")
    what = f"found {which[:80]!r}, allowed" if which else "it declares several scenarios; give one of them"
    raise NotFound(f"{what}: {', '.join(f'{path}{SEPARATOR}{name}' for name in declared)}")


def _files_in(folder: Path) -> str:
    found = sorted(path.name for path in folder.glob("*.toml"))
    return f", such as {folder / found[0]}" if found else ""


def _near(path: Path) -> str:
    """The files beside a missing one that have nearly its name."""
    beside = [entry.name for entry in path.parent.glob(f"*{path.suffix}")] if is_a_folder(path.parent) else []
    near = did_you_mean(path.name, [name for name in beside if name.isprintable()])
    return f"; {near}" if near else ""
