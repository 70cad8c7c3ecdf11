"""Functions that only compiled code calls: LLVM's instructions, which become machine code as a part of their callers.

Numba makes machine code of each function, and optimizes each with all that it calls. Here only entry points are treated
so: the search compiles in 23 s instead of 46, and is as fast.
"""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any, Final

import llvmlite.binding as llvm
from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, CompileResult, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.serialize import dumps
from numba.core.typed_passes import NativeLowering


class InnerCode(JITCodeLibrary):  # type: ignore[misc]
    """A library of numba's that is only linked into others."""

    @classmethod
    def from_bitcode(cls, codegen: Any, name: str, bitcode: bytes) -> InnerCode:
        """What was kept as `bitcode`."""
        library = cls(codegen, name)
        library._final_module = llvm.parse_bitcode(bitcode)
        library._finalized = True
        return library

    def bitcode(self) -> bytes:
        """Its instructions, to keep."""
        kept: bytes = self._final_module.as_bitcode()
        return kept

    def _optimize_final_module(self) -> None:
        """Simplify it, so that callers have less to optimize; with nothing at all their code is a fifth slower."""
        options = llvm.create_pipeline_tuning_options(speed_level=0)
        builder = llvm.create_pass_builder(_target(), options)
        passes = builder.getModulePassManager()
        passes.add_loop_rotate_pass()
        passes.add_instruction_combine_pass()
        passes.add_jump_threading_pass()
        passes.run(self._final_module, builder)

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


@cache
def _target() -> Any:
    return llvm.Target.from_default_triple().create_target_machine()


@register_pass(mutates_CFG=True, analysis_only=False)
class InnerLowering(NativeLowering):  # type: ignore[misc]
    """Numba's pass that makes LLVM's instructions, and no machine code from them."""

    _name = "inner_lowering"

    def run_pass(self, state: Any) -> bool:
        """Numba's interface."""
        state.flags.no_compile = True
        state.library = InnerCode(state.targetctx.codegen(), state.func_id.func_qualname)
        super().run_pass(state)
        made = state.cr
        name = _name_for_numba(made.fndesc, made.env, state.library)
        state.targetctx.insert_user_function(name, made.fndesc, [state.library])
        state.cr = made._replace(cfunc=name)
        return True


class InnerCompiler(CompilerBase):  # type: ignore[misc]
    """Numba's pipeline with that pass."""

    def define_pipelines(self) -> list[Any]:
        """Numba's interface."""
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.add_pass_after(InnerLowering, NativeLowering)
        pipeline.passes = [each for each in pipeline.passes if each[0] is not NativeLowering]
        pipeline.finalize()
        return [pipeline]


def _name_for_numba(descriptor: Any, environment: Any, library: InnerCode) -> Any:
    """Numba finds what it has compiled by a function object; that of an inner function is never called."""
    name = descriptor.qualname.split(".")[-1]
    return _dynfunc.make_function(descriptor.lookup_module(), name, "", 0, environment, (library,))


_KEPT: Final = ("fndesc", "environment", "signature", "objectmode", "lifted", "reload_init")


def pickled(result: CompileResult) -> bytes:
    """An inner function to keep."""
    result.fndesc.typemap = result.fndesc.calltypes = None  # as numba does: they may not be pickled
    fields = {name: getattr(result, name) for name in _KEPT}
    kept: bytes = dumps((result.library.name, result.library.bitcode(), fields))
    return kept


def unpickled(target_context: Any, kept: bytes) -> CompileResult:
    """An inner function that was kept."""
    name, bitcode, fields = pickle.loads(kept)
    library = InnerCode.from_bitcode(target_context.codegen(), name, bitcode)
    identity = _name_for_numba(fields["fndesc"], fields["environment"], library)
    others = dict.fromkeys(set(CompileResult._fields) - fields.keys())
    made = {"target_context": target_context, "typing_context": target_context.typing_context, "library": library}
    return CompileResult(**(others | fields | made | {"entry_point": identity}))
