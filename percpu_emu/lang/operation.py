"""What an operation is: the one definition from which every engine, the reduction and the reports derive theirs.

`lang.ops` holds the table: each function there is one operation, and its decorator says what the operation does. The
name, the parameters and the documentation are the function's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from percpu_emu.lang import instructions as i
from percpu_emu.lang.words import wrap

Kind: TypeAlias = Literal["pointer", "word", "program", "name"]
Order: TypeAlias = Literal["none", "relaxed", "acquire", "release", "full", "read barrier", "write barrier"]
Section: TypeAlias = Literal["rcu", "preempt", "irq"]
Wait: TypeAlias = Literal["", "sleeps", "spins"]
Operand: TypeAlias = int | Literal["given", "negated"]

_KINDS: Final[dict[str, Kind]] = {"Pointer": "pointer", "int": "word", "ProgramFunction": "program", "str": "name"}


class Op(NamedTuple):
    """One operation as a program yields it: its name and its arguments."""

    name: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Operation:
    """The definition of one operation."""

    name: str
    number: int
    """Its code wherever an operation is a number."""
    function: Callable[..., Op]
    parameters: tuple[tuple[str, Kind], ...]
    opcode: int
    """Its effect: one of the operations of `lang.instructions`."""
    verb: str
    """How a story says it; "{word}" is the word, "{arg}" the second argument, or the only one."""
    own: bool = False
    """Whether its word is this CPU's copy of a per-CPU word."""
    order: Order = "none"
    operand: Operand = "given"
    """The effect's operand: as given, negated, or a number that the operation has in place of an argument."""
    dereference: bool = False
    """Whether a reader holds on to the pointer that it gives."""
    publishes: bool = False
    """Whether it is there to publish a pointer."""
    enters: Section | None = None
    leaves: Section | None = None
    wait: Wait = ""
    """Whether it lets the CPU's other tasks run meanwhile, or keeps the CPU."""
    asks: bool = False
    """Whether a CPU asks the coordinator for it and waits for the answer."""
    queues: bool = False
    """Whether its first argument is a program that runs later."""
    native: bool = True
    """Whether the CPU processes of a run can do it; the search and replay can do all."""
    quiet: bool = False
    """Whether it tells a reader nothing by itself, so that reports may fold it."""
    kernel: str | None = None
    """What the kernel calls it, where that is another name; "" where the kernel has no such function."""

    @property
    def is_access(self) -> bool:
        """Whether it touches a word."""
        return self.opcode <= i.LAST_ACCESS

    @property
    def reads_only(self) -> bool:
        """Whether it leaves the word as it is."""
        return self.opcode in i.READING

    @property
    def is_split(self) -> bool:
        """Whether other CPUs see a load and a store: a read-modify-write without LOCK, on the own copy."""
        return self.own and self.opcode in i.MODIFYING

    @property
    def address_at(self) -> int:
        """Which argument is the address of its word."""
        return 1 if self.opcode == i.CPUMASK_NEXT else 0

    @property
    def kernel_name(self) -> str:
        """The kernel's function or macro that it stands for; "" if there is none."""
        return self.name if self.kernel is None else self.kernel

    @property
    def arity(self) -> int:
        """How many arguments it has."""
        return len(self.parameters)

    def operand_of(self, args: Sequence[int]) -> int:
        """The effect's operand for these arguments; negated once more it is the argument again."""
        if isinstance(self.operand, int):
            return self.operand
        return wrap(-args[1] if self.operand == "negated" else args[1])

    def __call__(self, *args: Any) -> Op:
        """The operation with these arguments."""
        return Op(self.name, args)


OPERATIONS: Final[dict[str, Operation]] = {}
"""Every operation, by name, in the order of `lang.ops`. Another module never adds to it."""

Function = TypeVar("Function", bound=Callable[..., Op])


def defines(opcode: int, verb: str, **properties: Any) -> Callable[[Function], Function]:
    """Enter the decorated function in `OPERATIONS` as an operation with that effect. Raises ValueError for a misfit."""

    def enter(function: Function) -> Function:
        parameters = [(p.name, _KINDS[str(p.annotation)]) for p in inspect.signature(function).parameters.values()]
        made = function(*range(len(parameters)))
        if made != Op(function.__name__, tuple(range(len(parameters)))):
            raise ValueError(f"{function.__name__} makes {made}, not an operation of its own name and arguments")
        OPERATIONS[function.__name__] = Operation(
            function.__name__, len(OPERATIONS), function, tuple(parameters), opcode, verb, **properties
        )
        return function

    return enter


def operation_of(value: object) -> Operation | None:
    """The operation that a function of `lang.ops` is, None for anything else."""
    found = OPERATIONS.get(getattr(value, "__name__", ""))
    return found if found is not None and found.function is value else None
