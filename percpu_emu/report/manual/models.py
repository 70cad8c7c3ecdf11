"""Tables of the keys of pydantic models: type, default, what is allowed, and what each means."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from percpu_emu.report.manual.markdown import code, table, upper_first

HEADER: Final = ["key", "type", "default", "allowed", "meaning"]
_TYPES: Final[dict[Any, str]] = {int: "integer", float: "number", str: "text", bool: "boolean", Any: "anything"}
"""By what Python calls it, what a reader of TOML and JSON does."""
_LISTS: Final = (list, tuple)
"""A tuple of one type, with any number of entries, is a list to a reader."""
_LIMITS: Final = {
    "ge": "from {}",
    "gt": "above {}",
    "le": "up to {}",
    "lt": "below {}",
    "min_length": "{} or more {unit}",
    "max_length": "up to {} {unit}",
    "pattern": "matches {}",
}


class Place(NamedTuple):
    """Where a model stands: the keys that lead to it, and whether it is one of a list."""

    path: str
    of_list: bool
    model: type[BaseModel]


def keys_table(model: type[BaseModel]) -> str:
    """Every key of a model, a row for each."""
    return table(HEADER, [_row(name, field) for name, field in model.model_fields.items()])


def places(root: type[BaseModel]) -> list[Place]:
    """Every model that a root model reaches, each at the first place where it stands."""
    found = [Place("", False, root)]
    for path, _, model in found:  # which grows meanwhile
        for key, field in model.model_fields.items():
            known = {place.model for place in found}
            here = ".".join(filter(None, [path, key, *["PROTOCOL"] * (get_origin(field.annotation) is dict)]))
            inner = dict.fromkeys(_models_in(field.annotation))
            found += [Place(here, get_origin(field.annotation) in _LISTS, part) for part in inner if part not in known]
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that stand in a type: list[A | B] has two."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _row(name: str, field: FieldInfo) -> list[str]:
    limits = [*_limits(field.metadata, field.annotation), *_inner_limits(field.annotation)]
    return [
        code(name),
        type_name(field.annotation),
        _default(field),
        "; ".join(dict.fromkeys([*_choices(field.annotation), *limits])),
        upper_first(field.description or ""),
    ]


def type_name(annotation: Any) -> str:
    """The type in words: "list of integer, or text"."""
    if annotation in _TYPES:
        return _TYPES[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return _composed(annotation, get_origin(annotation), get_args(annotation))


def _composed(annotation: Any, origin: Any, parts: tuple[Any, ...]) -> str:
    if origin is Annotated:
        chosen = next((part.discriminator for part in parts[1:] if isinstance(part, FieldInfo)), None)
        return f"table, chosen by its {code(str(chosen))}" if chosen else type_name(parts[0])
    if origin is Literal:
        return ", or ".join(dict.fromkeys(type_name(type(choice)) for choice in parts))
    if origin in _LISTS:
        return f"list of {type_name(parts[0])}"
    if origin is dict:
        return f"table of {type_name(parts[1])}"
    if origin in (Union, types.UnionType):
        return ", or ".join(dict.fromkeys(type_name(part) for part in parts if part is not types.NoneType))
    raise TypeError(f"no word for the type {annotation}")


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return "none"
    return "its defaults" if isinstance(field.default, BaseModel) else code(json.dumps(field.default))


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [", ".join(code(json.dumps(choice)) for choice in get_args(annotation))]
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def _limits(metadata: list[Any], annotation: Any) -> list[str]:
    unit = "entries" if get_origin(annotation) in (*_LISTS, dict) else "characters"
    found = [(key, getattr(part, key, None)) for part in metadata for key in _LIMITS]
    return [_LIMITS[key].format(_number(key, value), unit=unit) for key, value in found if value is not None]


def _inner_limits(annotation: Any) -> list[str]:
    """Those of the types inside: each number of a list."""
    own, parts = list[str](), get_args(annotation)
    if get_origin(annotation) is Annotated:
        for part in parts[1:]:
            own += _limits(part.metadata if isinstance(part, FieldInfo) else [part], parts[0])
    return own + [limit for part in parts for limit in _inner_limits(part)]


def _number(key: str, value: Any) -> str:
    if key == "pattern":
        return code(str(value))
    power = abs(value).bit_length() - 1 if isinstance(value, int) else 0
    if power >= 31 and abs(value) == 1 << power:
        return f"{'-' if value < 0 else ''}2^{power}"
    return f"{value:,}".replace(",", " ")
