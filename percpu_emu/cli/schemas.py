"""`percpu-emu schema`: the JSON Schemas that ship with the package."""

from __future__ import annotations

from importlib.resources import files

from percpu_emu.cli.errors import WrongArgument

SCHEMAS = ("scenario", "report")


def schema_text(of: str) -> str:
    """The text of a schema. Raises WrongArgument for another name."""
    if of not in SCHEMAS:
        raise WrongArgument(f"no schema of {of!r}; there are: {', '.join(SCHEMAS)}")
    return files("percpu_emu.cli").joinpath("schemas", f"{of}.schema.json").read_text(encoding="utf-8")
