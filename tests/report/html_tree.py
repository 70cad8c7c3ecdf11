"""A page as a tree, read by Python's own HTML parser: every element is closed, in order."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree.ElementTree import Element, TreeBuilder

VOID = {"meta", "link"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.builder = TreeBuilder()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in VOID:
            self.builder.end(tag)
        else:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self.builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self._open:
            self.builder.data(data)


def tree(html: str) -> Element:
    """The element `html` of a page."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.builder.close()


def text(element: Element) -> str:
    """Everything that it says, with single spaces."""
    return " ".join("".join(element.itertext()).split())


def named(page: Element, name: str) -> Element:
    """The element of that id."""
    [found] = [element for element in page.iter() if element.get("id") == name]
    return found


def of_class(element: Element, tag: str, name: str) -> list[Element]:
    """Elements with a class, in order."""
    return [found for found in element.iter(tag) if name in found.get("class", "").split()]
