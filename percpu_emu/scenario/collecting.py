"""The scenarios that an argument of the command line means: a name, a path, a folder or a pattern."""

from __future__ import annotations

import glob
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from percpu_emu.bundled import bundled_files
from percpu_emu.scenario.load import ScenarioError
from percpu_emu.scenario.programs import is_a_file, is_a_folder

MUTANTS_FOLDER = "protocols"


def means_one(name: str) -> bool:
    """Whether an argument is the name of a scenario or the path of its file, and no folder or pattern."""
    if not name or name in bundled_files("scenarios", ".toml") or is_a_file(Path(name)):
        return True
    return not is_a_folder(Path(name)) and not glob.has_magic(name)


def collected(name: str) -> list[str]:
    """The names and paths that an argument means. Raises ScenarioError for a folder or a pattern that has none.

    A folder means every file in it, and in its folders, that has a table `explore`; hidden folders, such as that of a
    virtual environment, are passed over. A pattern means what it matches
    of the bundled scenarios with a table `explore`, and of files and folders.
    """
    if means_one(name):
        return [name]
    if is_a_folder(Path(name)):
        found = list(_in_folder(Path(name)))
        problem = "it is a folder without scenario files that have a table explore"
    else:
        found = [*_bundled_like(name), *_files_like(name)]
        problem = "no bundled scenario and no file matches that pattern (`percpu-emu list` shows the scenarios)"
    if not found:
        raise ScenarioError(name, [problem])
    return found


def mutants() -> list[str]:
    """The names of the bundled protocols, broken and fixed."""
    return [n for n, path in bundled_files("scenarios", ".toml").items() if path.parent.name == MUTANTS_FOLDER]


def _in_folder(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.toml")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and is_a_file(path) and _is_explored(path):
            yield str(path)


def _bundled_like(pattern: str) -> Iterator[str]:
    known = bundled_files("scenarios", ".toml")
    yield from (name for name, path in known.items() if fnmatchcase(name, pattern) and _is_explored(path))


def _files_like(pattern: str) -> Iterator[str]:
    for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - Path.glob refuses absolute patterns
        if is_a_folder(Path(match)):
            yield from _in_folder(Path(match))
        elif match.endswith(".toml"):
            yield match


def _is_explored(path: Path) -> bool:
    """Whether a file has a table `explore`. One that cannot be read counts, so that its error is said."""
    try:
        return "explore" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return True
