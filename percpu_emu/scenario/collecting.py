"""The scenarios that an argument of the command line means: a name, a path, a folder or a pattern."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from percpu_emu.scenario.finding import ENDINGS, SEPARATOR, UNREADABLE, scenarios_in, shipped
from percpu_emu.scenario.load import ScenarioError
from percpu_emu.scenario.paths import is_a_file, is_a_folder

MUTANTS_FOLDERS: Final = ("examples", "protocols")


def means_one(name: str) -> bool:
    """Whether an argument is the name of a scenario or the path of its file, and no folder or pattern."""
    path = Path(name)
    if not name or name in shipped():
        return True
    if is_a_file(path):
        return path.suffix != ".py" or len(_in_file(path)) == 1
    return SEPARATOR in name or not (is_a_folder(path) or glob.has_magic(name))


def collected(name: str) -> list[str]:
    """The names and paths that an argument means. Raises ScenarioError for a folder or a pattern that has none.

    A folder means every scenario for `explore` of its files, and of its folders; hidden folders, such as that of a
    virtual environment, are passed over. A pattern means what it matches of the bundled scenarios for `explore`, and of
    files and folders. A Python file means every scenario that it declares.
    """
    path = Path(name)
    if means_one(name):
        return [name]
    if is_a_folder(path):
        found, problem = list(_in_folder(path)), "it is a folder without scenarios for explore"
    elif is_a_file(path):
        found, problem = _in_file(path), "it declares no scenario: a function under `@scenario(...)` is one"
    else:
        found = [*_bundled_like(name), *_files_like(name)]
        problem = "no bundled scenario and no file matches that pattern (`percpu-emu list` shows the scenarios)"
    if not found:
        raise ScenarioError(name, [problem])
    return found


def mutants() -> list[str]:
    """The names of the bundled protocols and examples, broken and fixed."""
    return [name for name, entry in shipped().items() if entry.place.path.parent.name in MUTANTS_FOLDERS]


def _in_folder(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix in ENDINGS and not hidden and is_a_file(path):
            yield from _in_file(path)


def _in_file(path: Path) -> list[str]:
    """The scenarios for `explore` of a file. One that cannot be read is given as it is, so that its error is said."""
    try:
        return [str(entry.place) for entry in scenarios_in(path) if entry.explored]
    except UNREADABLE:
        return [str(path)]


def _bundled_like(pattern: str) -> Iterator[str]:
    yield from (name for name, entry in shipped().items() if fnmatchcase(name, pattern) and entry.explored)


def _files_like(pattern: str) -> Iterator[str]:
    for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - Path.glob refuses absolute patterns
        if is_a_folder(Path(match)):
            yield from _in_folder(Path(match))
        elif match.endswith(ENDINGS):
            yield from _in_file(Path(match))
