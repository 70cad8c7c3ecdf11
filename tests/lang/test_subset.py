"""Definite assignment: which programs may read a variable that has no value yet, and which may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from percpu_emu.lang.image import Image
from percpu_emu.lang.source import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

PROLOGUE: Final = "from percpu_emu.lang.ops import *\n\ndef p(x):\n    yield smp_mb()\n"
REFUSED: Final = [
    "return y #!\ny = 1",
    "y += 1 #!",
    "y: int = y + 1 #!",
    "y = y #!",
    "if y: #!\n    y = 1",
    "while y: #!\n    y = 1",
    "for i in range(y): #!\n    y = 1",
    "for y in range(y): #!\n    pass",
    "yield write_once(x, y) #!\ny = 1",
    "z = x and y #!\ny = 1",
    # branches
    "if x:\n    y = 1\nreturn y #!",
    "if x:\n    pass\nelse:\n    y = 1\nreturn y #!",
    "if x:\n    y = 1\nelif x > 1:\n    pass\nelse:\n    y = 1\nreturn y #!",
    "if x:\n    if x > 1:\n        y = 1\nelse:\n    y = 1\nreturn y #!",
    # loops whose body may not run
    "while x:\n    y = 1\n    x -= 1\nreturn y #!",
    "for i in range(x):\n    y = 1\nreturn y #!",
    "for i in range(3):\n    pass\nreturn i #!",
    "for i in range(x):\n    if i:\n        z = y #!\n    y = 1",
    "while x:\n    x -= 1\n    if x:\n        continue\n    y = 1\nreturn y #!",
    # loops that are left by `break`
    "while True:\n    if x:\n        break\n    y = 1\nreturn y #!",
    "while 1:\n    x -= 1\n    if x:\n        y = 1\n        break\n    if x > 1:\n        break\nreturn y #!",
    "while True:\n    while True:\n        y = 1\n        break\n    if x:\n        z = 1\n    break\nreturn z #!",
    "while True:\n    if x:\n        break\n    y = 1\n    break\nreturn y #!",
    "while x:\n    y = 1\n    break\nreturn y #!",
    "while 0:\n    y = 1\nreturn y #!",
    # one that has no end, in one that has: the outer test still may be false at once
    "while x:\n    while True:\n        y = 1\n        if x:\n            break\nreturn y #!",
]
ACCEPTED: Final = [
    "y = 1\ny += 1\nreturn y",
    "y: int = 1\nreturn y",
    "y = z = x\nreturn y + z",
    "if x:\n    y = 1\nelse:\n    y = 2\nreturn y",
    "if x:\n    y = 1\nelif x > 1:\n    y = 2\nelse:\n    y = 3\nreturn y",
    "if x:\n    return 1\nelse:\n    y = 2\nreturn y",
    "if x:\n    y = 1\nelse:\n    return 2\nreturn y",
    "for i in range(x):\n    y = i\n    z = y",
    "i = 5\nfor i in range(x):\n    pass\nreturn i",
    "for i in range(x):\n    if i:\n        continue\n    else:\n        y = 1\n    z = y",
    "for i in range(x):\n    if i:\n        break\n    else:\n        y = 1\n    z = y",
    "y = 1\nwhile x:\n    x -= 1\n    y += 1\nreturn y",
    "while True:\n    y = 1\n    if x:\n        break\nreturn y",
    "while 1:\n    if x:\n        y = 1\n        break\n    if x > 1:\n        y = 2\n        break\nreturn y",
    "while True:\n    x = yield read_once(x)\n    if x:\n        return x",
    "while True:\n    y = 1\n    while x:\n        break\n    break\nreturn y",
    "return x\nreturn y\ny = 1",
    "while True:\n    yield cpu_relax()\nreturn y\ny = 1",
]


def program(text: str) -> str:
    return PROLOGUE + "".join(f"    {line}\n" for line in text.splitlines())


@pytest.mark.parametrize("text", REFUSED)
def test_a_variable_that_may_have_no_value_is_refused(module_of: Callable[[str], ModuleType], text: str) -> None:
    module = module_of(program(text))
    with pytest.raises(Refused) as caught:
        Image([module.p])
    lines = program(text).splitlines()
    assert "#!" in lines[caught.value.line - 1]
    name = caught.value.reason.split("`")[1]
    assert caught.value.reason == f"`{name}` may be used before it has a value"
    assert name in lines[caught.value.line - 1]
    assert caught.value.file == module.__file__


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_variable_that_has_a_value_on_every_path_is_accepted(
    module_of: Callable[[str], ModuleType], text: str
) -> None:
    module = module_of(program(text))
    assert Image([module.p]).number(module.p) == 1
