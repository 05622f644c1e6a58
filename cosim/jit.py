"""Where numba compiles and caches: import `njit` from here, never from numba.

Numba's cache does not notice that a callee in another file changed, so the cache folder is named by a hash of
every kernel source and of numba's version, and is set before numba is imported.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cosim.cache_folder import Claim, kernel_cache_dir
from cosim.errors import EnvironmentFailure


def _usable(folder: Path) -> bool:
    """Whether kernels can be kept in a folder: tried, since permission bits do not tell of a read-only disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _set_numba_cache() -> str:
    """Choose where compiled kernels are kept; what there is to say of it, empty where all is well.

    Raises
    ------
    EnvironmentFailure
        No folder can be written, the temporary one included.
    """
    wanted = folder = kernel_cache_dir()
    note = ""
    if not _usable(folder):
        try:
            folder = Path(tempfile.gettempdir()) / f"cosim-{os.getuid()}" / wanted.name
            if not _usable(folder):
                folder = Path(tempfile.mkdtemp(prefix="cosim-"))
        except OSError as error:
            raise EnvironmentFailure(
                f"{wanted}: cannot be written, and neither can a temporary folder ({error}); kernels need one: set "
                "COSIM_CACHE_DIR to a writable folder"
            ) from None
        note = (
            f"{wanted.parent} cannot be written, so compiled kernels are kept in {folder} and are compiled again once "
            "it is cleaned up; set COSIM_CACHE_DIR to a writable folder"
        )
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    return note


CACHE_NOTE = _set_numba_cache()
"""What commands say, once, of a cache folder that cannot be used; empty where it can."""


@contextlib.contextmanager
def _absent(module: str) -> Iterator[None]:
    """Let an import that would take a module along find none, but for one that is there already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


with _absent("coverage"):  # of lines that numba compiles, where it runs already: 30 ms
    import numba

numba.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]  # it may have been imported before us

from numba.core.caching import FunctionCache  # noqa: E402
from numba.core.registry import CPUDispatcher  # noqa: E402
from numba.core.types.misc import unliteral  # noqa: E402

from cosim.pipeline import DeferredCompiler, FrameCompiler, SealedCompiler  # noqa: E402

_OPTIONS = {"error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True, "fastmath": {"contract"}}
_process = {"has_blas": True}


class _KernelCache(FunctionCache):  # type: ignore[misc]
    """numba's cache, read without what only compiling needs: numba's own asks for all its libraries first (0.2 s).

    Of several processes that lack a kernel one compiles it, the others wait and read it. None waits for another in a
    circle: who compiles a kernel waits only for those that it calls.
    """

    def __init__(self, kernel: Callable[..., Any]) -> None:
        super().__init__(kernel)
        name = f"{kernel.__module__}.{kernel.__qualname__}.lock"
        self._claim = Claim(Path(os.environ["NUMBA_CACHE_DIR"]) / "claims" / name)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel, None where it is not there: then this process is to compile and save it."""
        found = self._load_overload(sig, target_context)
        if found is not None:
            return found
        self._claim.take()
        found = self._load_overload(sig, target_context)
        if found is not None:
            self._claim.release()
        elif not _process["has_blas"]:
            _import_without_blas()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel."""
        super().save_overload(sig, data)
        self._claim.release()


class _Kernel(CPUDispatcher):  # type: ignore[misc]
    """A kernel that is compiled once for all values: numba's own is compiled anew for each constant it is given."""

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """How a caller of these argument types calls it."""
        return super().get_call_template(
            [unliteral(one) for one in args], {name: unliteral(one) for name, one in kws.items()}
        )


def _kept(kernel: Callable[..., Any], pipeline: type[SealedCompiler]) -> Any:
    compiled = numba.njit(**_OPTIONS, pipeline_class=pipeline)(kernel)
    if isinstance(compiled, CPUDispatcher):  # not where NUMBA_DISABLE_JIT leaves plain functions
        compiled.__class__ = _Kernel
        compiled._cache = _KernelCache(kernel)
    return compiled


def njit(kernel: Callable[..., Any]) -> Any:
    """`numba.njit` with the on-disk cache and C semantics of division, and without reference counting.

    Kernels allocate nothing; their arrays belong to the caller (see `cosim.bundle`).
    """
    return _kept(kernel, SealedCompiler)


def frame(kernel: Callable[..., Any]) -> Any:
    """`njit` for the loop around all kernels: those that take time are `njit` and come to it optimized."""
    return _kept(kernel, FrameCompiler)


class _Inner(_Kernel):
    def __call__(self, *_args: Any) -> Any:
        raise TypeError(f"{self.py_func.__name__} has no machine code of its own: only kernels can call it")


def inner(kernel: Callable[..., Any]) -> Any:
    """`njit` for a function that only kernels call: it has no machine code and no place in the cache of its own."""
    compiled = numba.njit(**_OPTIONS, no_cpython_wrapper=True, pipeline_class=DeferredCompiler)(kernel)
    if isinstance(compiled, CPUDispatcher):  # not where NUMBA_DISABLE_JIT leaves plain functions
        compiled.__class__ = _Inner
    return compiled


def is_warm() -> bool:
    """Whether these kernels were compiled on this machine before."""
    return any(Path(os.environ["NUMBA_CACHE_DIR"]).rglob("advance.advance-*.nbi"))


def without_blas() -> None:
    """Keep numba from importing scipy.linalg (0.25 s) to look for BLAS, which no kernel here uses.

    For a process that is cosim's own: numba code of others in it would go without `np.dot`.
    """
    _process["has_blas"] = False


def _import_without_blas() -> None:
    if "scipy.linalg" in sys.modules or "numba.np.arraymath" in sys.modules:
        return
    with _absent("scipy.linalg"):
        import numba.np.arraymath  # noqa: F401
