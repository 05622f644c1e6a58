"""How numba gets from a kernel's source to its library: only the steps that kernels need, each answer worked out once.

numba's own steps also serve closures, `with` blocks, parallel loops, array expressions and literals; kernels are plain
loops. And it asks some thirty templates what the type of `a + b` is, each time anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from numba.core import errors, typed_passes, untyped_passes
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
from numba.core.targetconfig import ConfigStack, TargetConfig
from numba.core.types.functions import BaseFunction

from cosim.libraries import DeferredLibrary, FrameLibrary, SealedLibrary

_call_types: dict[Any, Any] = {}
_defaults: dict[type, dict[str, Any]] = {}


def _values(config: Any) -> dict[str, Any]:
    """All options of a numba configuration: what its own `values` says, without asking for each of them."""
    kind = type(config)
    if kind not in _defaults:
        _defaults[kind] = {name: option.default for name, option in kind.options.items()}
    return {**_defaults[kind], **config._values}


def _asked_once(ask: Any) -> Any:
    """`BaseFunction.get_call_type` with a memory. Templates do not change while kernels are compiled."""

    def get_call_type(function: Any, context: Any, args: Any, kws: Any) -> Any:
        key = function, context, tuple(args), tuple(kws.items()), ConfigStack.top_or_none()
        if key not in _call_types:
            _call_types[key] = ask(function, context, args, kws)
        return _call_types[key]

    return get_call_type


class _Plain:
    """A colour scheme without colours."""

    def __getattr__(self, _use: str) -> type[str]:
        return str


@contextmanager
def _remembering() -> Iterator[None]:
    """Within it, numba asks for the type of a call once and paints no messages that nobody reads.

    What others compile is compiled by numba as it is.
    """
    if TargetConfig.values is _values:  # within a caller's compilation
        yield
        return
    with ExitStack() as stack:
        for owner, name, ours in (
            (BaseFunction, "get_call_type", _asked_once(BaseFunction.get_call_type)),
            (TargetConfig, "values", _values),
            (errors, "_termcolor_inst", _Plain()),
        ):
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, ours)
        yield


@register_pass(mutates_CFG=False, analysis_only=False)
class _Seal(FunctionPass):  # type: ignore[misc]
    """Lower into a `SealedLibrary`."""

    _name = "cosim_seal"
    kind: type[SealedLibrary] = SealedLibrary

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = self.kind(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return False


@register_pass(mutates_CFG=False, analysis_only=False)
class _Frame(_Seal):
    """Lower into a `FrameLibrary`."""

    _name = "cosim_frame"
    kind = FrameLibrary


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
    """Compiles a kernel that Python code calls."""

    library_pass: type[FunctionPass] = _Seal

    def define_pipelines(self) -> list[Any]:
        """The one pipeline: numba's own, less what kernels have no use for."""
        manager = PassManager("kernel")
        for step in (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            untyped_passes.IRProcessing,
            untyped_passes.RewriteSemanticConstants,
            untyped_passes.DeadBranchPrune,
            untyped_passes.GenericRewrites,
            untyped_passes.ReconstructSSA,
            typed_passes.NopythonTypeInference,
            typed_passes.PreLowerStripPhis,
            typed_passes.InlineOverloads,
            typed_passes.NoPythonSupportedFeatureValidation,
            self.library_pass,
            typed_passes.IRLegalization,
            typed_passes.AnnotateTypes,
            typed_passes.NativeLowering,
            typed_passes.NoPythonBackend,
        ):
            manager.add_pass(step, step.__name__)
        manager.finalize()
        return [manager]

    def _compile_core(self) -> Any:
        with _remembering():
            return super()._compile_core()


class FrameCompiler(SealedCompiler):
    """The same for the loop around all other kernels."""

    library_pass = _Frame


class DeferredCompiler(SealedCompiler):
    """The same for inner kernels."""

    library_pass = _Defer
