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

from llvmlite.binding import Linkage, create_pass_builder, create_pipeline_tuning_options
from numba.core.codegen import JITCodeLibrary


class _NoEngine:
    """Stands in for the code generator where numba would hand an environment to machine code that is not there."""

    def set_env(self, _name: str, _env: Any) -> None:
        """Nothing to hand it to."""


def _seal(module: Any) -> None:
    for function in module.functions:
        if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
            function.linkage = Linkage.internal


class SealedLibrary(JITCodeLibrary):  # type: ignore[misc]
    """A kernel with all that it calls, none of which other libraries see."""

    def _optimize_final_module(self) -> None:
        _seal(self._final_module)
        super()._optimize_final_module()


class FrameLibrary(SealedLibrary):
    """The same around kernels that were optimized before: what ties them together is optimized in one quick go."""

    def _optimize_final_module(self) -> None:
        _seal(self._final_module)
        builder = create_pass_builder(self._codegen._tm, create_pipeline_tuning_options(speed_level=1))
        builder.getModulePassManager().run(self._final_module, builder)


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
