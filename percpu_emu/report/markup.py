"""Elements of a page: their text and attributes are escaped, whatever stands in them."""

from __future__ import annotations

from typing import TypeAlias
from xml.etree import ElementTree as Tree

from percpu_emu.scenario.wording import encodable

Element: TypeAlias = Tree.Element


def make(tag: str, *children: Element | str, **attributes: str | float) -> Element:
    """An element. In names of attributes `_` stands for `-`, and a last one keeps Python's words apart: `class_`."""
    named = {name.rstrip("_").replace("_", "-"): encodable(str(value)) for name, value in attributes.items()}
    element = Tree.Element(tag, named)
    for child in children:
        _append(element, child)
    return element


def _append(element: Element, child: Element | str) -> None:
    if isinstance(child, Tree.Element):
        element.append(child)
    elif len(element):
        element[-1].tail = (element[-1].tail or "") + encodable(child)
    else:
        element.text = (element.text or "") + encodable(child)


def with_code(text: str) -> list[Element | str]:
    """A text of ours as children of an element; what stands between backticks is code."""
    return [make("code", part) if number % 2 else part for number, part in enumerate(text.split("`"))]


def rendered(element: Element) -> str:
    """The element as HTML."""
    return Tree.tostring(element, encoding="unicode", method="html")
