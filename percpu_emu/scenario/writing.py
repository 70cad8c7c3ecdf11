"""A scenario in the other form: as a TOML file, or as a function under `@scenario` for the file of its programs."""

from __future__ import annotations

import keyword
import textwrap
from typing import Any, Final

import tomli_w

from percpu_emu.scenario.decorator import KEYS_OF_MACHINE, KEYS_OF_TOP
from percpu_emu.scenario.load import Loaded, ScenarioError
from percpu_emu.scenario.schema import ContextPart, Scenario

_PROGRAMS: Final = ("setup", "total", "final", "invariant")
"""Keys whose value is the name of a function."""
_ONLY_TOML: Final = ("protocols", "cgroups", "table", "workers", "interrupts", "steps", "torture", "letter", "expect")
_WIDTH: Final = 112


def as_toml(loaded: Loaded) -> str:
    """The file's text; what has its default is left out."""
    return tomli_w.dumps(loaded.scenario.model_dump(exclude_defaults=True), multiline_strings=True)


def as_python(loaded: Loaded) -> str:
    """The text that declares it. Raises ScenarioError for a scenario that only TOML can say."""
    scenario = loaded.scenario
    document = scenario.model_dump(exclude_defaults=True)
    beyond: list[str] = [key for key in _ONLY_TOML if key in document]
    beyond += [f"machine.{key}" for key in document["machine"] if key not in KEYS_OF_MACHINE]
    if beyond or scenario.explore is None:
        what = ", ".join(beyond) or "no table explore"
        raise ScenarioError(loaded.source, [f"{what}: `@scenario` has no such keys; it is for `--as toml`"])
    function = scenario.name.replace("-", "_")
    keys = _keys(scenario, document, function)
    lines = ["from percpu_emu.scenario.decorator import Contexts, scenario", "", "", "@scenario("]
    lines += [f"    {key}={value}," for key, value in keys.items()]
    lines += [")", f"def {_identifier(function)}(m: Contexts) -> None:", *_docstring(scenario)]
    lines += [f"    {_context(part)}" for part in scenario.explore.contexts]
    return "\n".join(lines) + "\n"


def _keys(scenario: Scenario, document: dict[str, Any], function: str) -> dict[str, str]:
    tables = {**document["machine"], **{key: document[key] for key in document if key in KEYS_OF_TOP}}
    tables |= {key: value for key, value in document["explore"].items() if key not in ("programs", "contexts")}
    keys = {key: value if key in _PROGRAMS else repr(value) for key, value in tables.items()}
    if "after" in keys:
        keys["after"] = f"{{{', '.join(f'{step!r}: {name}' for step, name in tables['after'].items())}}}"
    if "observe" in keys:
        keys["observe"] = f"[{', '.join(scenario.observe)}]"
    if _identifier(function) == function:  # which is the name then
        del keys["name"]
    return keys


def _identifier(name: str) -> str:
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"scenario_{name}"


def _docstring(scenario: Scenario) -> list[str]:
    paragraphs = scenario.description.strip().split("\n\n") if scenario.description.strip() else []
    folded = [
        textwrap.fill(part, _WIDTH, break_on_hyphens=False, break_long_words=False).splitlines() for part in paragraphs
    ]
    text = [f"{scenario.summary}.", *(line for part in folded for line in ["", *part])]
    escaped = [line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') for line in text]
    first, *rest = escaped
    return (
        [f'    """{first}', *(f"    {line}".rstrip() for line in rest), '    """'] if rest else [f'    """{first}"""']
    )


def _context(part: ContextPart) -> str:
    """The call that adds it."""
    words: list[str] = [part.program, *map(repr, part.args)]
    if part.cpus:
        alone = part.cpus != "all" and len(part.cpus) == 1
        words.append(f"cpu={part.cpus[0] if alone else part.cpus!r}")
    given = {key: getattr(part, key) for key in ("name", "turns", "migrates") if key in part.model_fields_set}
    defaults = {key: ContextPart.model_fields[key].default for key in given}
    words += [f"{key}={value!r}" for key, value in given.items() if value != defaults[key]]
    return f"m.{part.kind}({', '.join(words)})"
