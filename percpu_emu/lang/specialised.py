"""A program made for a case: names of its module stand for something else, as a macro's parameters do."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from percpu_emu.lang.ops import ProgramFunction


def specialised(program: ProgramFunction, **names: int | ProgramFunction) -> ProgramFunction:
    """A copy of a program for which names of its module stand for these numbers and programs.

    The text stays the program's. Raises ValueError for a name that the module does not have.
    """
    assert isinstance(program, FunctionType)
    if unknown := names.keys() - program.__globals__.keys():
        raise ValueError(f"{program.__name__}: its module has no {', '.join(sorted(unknown))}")
    code = program.__code__.replace()  # engines know a program by its code, too
    copy = FunctionType(code, {**program.__globals__, **names}, program.__name__)
    vars(copy).update(vars(program))  # as what it does to locks (`lang.locking`)
    return copy
