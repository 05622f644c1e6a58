"""How numba's libraries of kernels differ from its own: inner ones are unfinished, outer ones sealed.

numba finishes every function on its own before it links it into its caller, which is then optimized as a whole, so
code at the bottom of six calls is optimized six times over. What no Python code calls needs no machine code of its
own, and the optimizer works from the bottom up by itself.

What is linked in stays visible by its name, and where two libraries of a process hold a function of one name, the
first one loaded serves both. The two were optimized in different surroundings, so last bits of results depended on
what else a process had compiled. A sealed library keeps to its own.
"""

from __future__ import annotations

from typing import Any

from llvmlite.binding import Linkage
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.typed_passes import NoPythonSupportedFeatureValidation


class _NoEngine:
    """Stands in for the code generator where numba would hand an environment to machine code that is not there."""

    def set_env(self, _name: str, _env: Any) -> None:
        """Nothing to hand it to."""


class SealedLibrary(JITCodeLibrary):  # type: ignore[misc]
    """A kernel with all that it calls, none of which other libraries see."""

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                function.linkage = Linkage.internal
        super()._optimize_final_module()


class DeferredLibrary(JITCodeLibrary):  # type: ignore[misc]
    """A function's LLVM module, with those of what it calls linked in; never compiled by itself."""

    @property
    def codegen(self) -> Any:
        """What is asked for an environment's place."""
        return _NoEngine()

    def get_pointer_to_function(self, _name: str) -> int:
        """There is no machine code."""
        return 0

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=False)
class _Seal(FunctionPass):  # type: ignore[misc]
    """Lower into a `SealedLibrary`."""

    _name = "cosim_seal"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = SealedLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return False


@register_pass(mutates_CFG=False, analysis_only=False)
class _Defer(FunctionPass):  # type: ignore[misc]
    """Lower into a `DeferredLibrary`."""

    _name = "cosim_defer"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = DeferredLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        return False


class SealedCompiler(CompilerBase):  # type: ignore[misc]
    """numba's own pipeline, but for the library that it lowers into."""

    library_pass: type[FunctionPass] = _Seal

    def define_pipelines(self) -> list[Any]:
        """The one pipeline."""
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.add_pass_after(self.library_pass, NoPythonSupportedFeatureValidation)
        manager.finalize()
        return [manager]


class DeferredCompiler(SealedCompiler):
    """The same for inner kernels."""

    library_pass = _Defer
