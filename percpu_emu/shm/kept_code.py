"""Compiled functions kept between runs, each under a key of everything that its machine code depends on.

A function is kept with the functions it calls inside it, and these are kept, too: a new program compiles what is new in
it (a scenario whose primitives are known takes half the time), and a changed source is another key.
"""

from __future__ import annotations

import dis
import hashlib
import pickle
import sys
from collections.abc import Iterable
from functools import cache, singledispatch
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, Final, TypeAlias

import llvmlite
import llvmlite.binding
import numba
import numpy as np
from numba.core.caching import _Cache as NumbaCache
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps
from numba.extending import _Intrinsic as Intrinsic

from percpu_emu import __version__
from percpu_emu.shm import code_folder, inner_code

Names: TypeAlias = tuple[str, ...]
_OPTIONS: Final = ("OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "CPU_NAME", "CPU_FEATURES", "ENABLE_AVX")
"""Settings of numba that change the code that it makes."""


class KeptCode(NumbaCache):  # type: ignore[misc]
    """What numba asks for a function's machine code before it compiles, and gives it to afterwards."""

    cache_path = ""

    def __init__(self, function: FunctionType, how: str) -> None:
        """`how`: the decorator and its options, which the code depends on."""
        self._function = function
        self.how = how

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for a signature, None if it is not kept."""
        target_context.refresh()
        kept = code_folder.read(self._name(sig))
        return None if kept is None else self._unpickled(target_context, kept)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function."""
        if code_folder.code_folder() is not None and not data.library.has_dynamic_globals:
            code_folder.write(self._name(sig), self._pickled(data))

    def _pickled(self, result: CompileResult) -> bytes:
        kept: bytes = dumps(result._reduce())
        return kept

    def _unpickled(self, target_context: Any, kept: bytes) -> CompileResult:
        return CompileResult._rebuild(target_context, *pickle.loads(kept))

    def _name(self, sig: Any) -> str:
        """A file's name, beginning with the function's, for people; and the symbol's: no two functions share one.

        Numba numbers the functions of a process for that: two that were compiled in different ones may be linked here.
        """
        key = key_of(self._function)
        name = self._function.__name__
        self._function.__qualname__ = f"{name}_{key}"
        return f"{name}-{_digest(_foundation(), key, self.how, str(sig))}.code"

    def enable(self) -> None:
        """It always is."""

    def disable(self) -> None:
        """It never is."""

    def flush(self) -> None:
        """Nothing waits to be written."""


class KeptInnerCode(KeptCode):
    """The same for a function that only compiled code calls."""

    def _pickled(self, result: CompileResult) -> bytes:
        return inner_code.pickled(result)

    def _unpickled(self, target_context: Any, kept: bytes) -> CompileResult:
        return inner_code.unpickled(target_context, kept)


def keep(compiled: Any, how: str, kind: type[KeptCode] = KeptCode) -> Any:
    """Keep what numba makes of a function. With NUMBA_DISABLE_JIT it makes nothing, and gives the function back."""
    if isinstance(compiled, Dispatcher):
        with_cache: Any = compiled
        with_cache._cache = kind(compiled.py_func, how)
    return compiled


@cache
def key_of(function: FunctionType) -> str:
    """A digest of a function's code, and of whatever it refers to. Raises TypeError for what cannot be told apart."""
    return _digest(*_parts_of(function))


def _parts_of(function: FunctionType) -> Iterable[object]:
    code = function.__code__
    yield from (code.co_name, code.co_code, code.co_names, code.co_varnames, code.co_cellvars, function.__defaults__)
    yield [_part(constant, ()) for constant in code.co_consts]
    yield [_part(cell.cell_contents, code.co_names) for cell in function.__closure__ or ()]
    known = function.__globals__
    # co_names has the names of attributes, too: a program may have the name of a primitive that it calls
    loaded = {each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL"}
    yield [(name, _part(known[name], code.co_names)) for name in sorted(loaded & known.keys())]


@singledispatch
def _part(value: object, _names: Names) -> object:
    """What stands for a value in a key; `names` are those that may be looked up in it, if it is a module."""
    raise TypeError(f"compiled code refers to {value!r}, which no key can tell apart")


@_part.register(bool | int | float | str | bytes | None)
def _of_constant(value: object, _names: Names) -> object:
    return type(value).__qualname__, repr(value)


@_part.register
def _of_tuple(value: tuple, names: Names) -> object:  # type: ignore[type-arg]
    return [_part(each, names) for each in value]


@_part.register
def _of_module(value: ModuleType, names: Names) -> object:
    """Of our own modules what may be used of them; others have versions."""
    ours = value.__name__.partition(".")[0] == __name__.partition(".")[0]
    return value.__name__, [(name, _part(vars(value)[name], names)) for name in names if ours and name in vars(value)]


@_part.register(type | BuiltinFunctionType)
def _of_class(value: Any, _names: Names) -> object:
    return value.__module__, value.__qualname__, getattr(value, "_fields", ())


@_part.register(Dispatcher)
def _of_compiled(value: Any, _names: Names) -> object:
    return value._cache.how, key_of(value.py_func)


@_part.register(Intrinsic)
def _of_intrinsic(value: Any, _names: Names) -> object:
    return key_of_emitter(value._defn)


def key_of_emitter(function: FunctionType) -> object:
    """Of a function that emits LLVM's instructions, in Python: its code, what it holds, the source around it."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    held = [key_of_emitter(each) if isinstance(each, FunctionType) else repr(each) for each in cells]
    return function.__module__, function.__qualname__, _code(function.__code__), held, _source(function.__code__)


def _code(code: CodeType) -> object:
    constants = [_code(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return code.co_firstlineno, code.co_code, code.co_names, constants


@cache
def _source(code: CodeType) -> bytes:
    return hashlib.sha256(Path(code.co_filename).read_bytes()).digest()


@cache
def _foundation() -> str:
    """Who compiles, for which processor, and what emits instructions."""
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    versions = (__version__, sys.version, numba.__version__, llvmlite.__version__, np.__version__)
    features = llvmlite.binding.get_host_cpu_features().flatten()
    options = [(name, getattr(numba.config, name, None)) for name in _OPTIONS]
    processor = (llvmlite.binding.get_process_triple(), llvmlite.binding.get_host_cpu_name(), features)
    return _digest(sources, versions, processor, options)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
