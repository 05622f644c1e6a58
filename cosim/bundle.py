"""Bundles: many arrays under one name, which kernels are given by one pointer.

A NamedTuple of a hundred arrays enters a kernel as seven hundred arguments, and every call between kernels hands them
all over again: compiling that took most of a minute. A bundle is a table of array headers; a kernel is given its
address and reads a header where it names an array.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from typing import Any, ClassVar, Self, dataclass_transform

import numpy as np
from numba.core import types
from numba.core.cgutils import pack_array
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_getattr_generic,
    models,
    register_model,
    typeof_impl,
    unbox,
)
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

HEADER = 5
"""Words of an array's header before its shape: two that stay empty, items, bytes of an item, address."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Bundle:
    """Base of classes whose annotations name arrays, given by keyword. None of them can be replaced.

    In a kernel `bundle.name` is the array. Its memory belongs to the bundle, which must outlive the call.
    """

    names: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        cls.names = tuple(cls.__annotations__)

    def __init__(self, **arrays: NDArray[Any]) -> None:
        if tuple(sorted(arrays)) != tuple(sorted(self.names)):
            raise TypeError(f"{type(self).__name__} needs {', '.join(self.names)}")
        arrays = {name: arrays[name] for name in self.names}
        words = [word for array in arrays.values() for word in _header(array)]
        table = np.array(words, np.int64)
        numba_type = _bundle_type(type(self).__name__, tuple((name, *_checked(a)) for name, a in arrays.items()))
        self.__dict__.update(arrays, _table=table, address=table.ctypes.data, _numba_type_=numba_type)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name}: the arrays of a bundle stay; write into them")

    def items(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Names and arrays."""
        for name in self.names:
            yield name, self.__dict__[name]

    def replaced(self, **arrays: NDArray[Any]) -> Self:
        """Another bundle with some arrays exchanged and the others shared."""
        return type(self)(**{**dict(self.items()), **arrays})


def _header(array: NDArray[Any]) -> list[int]:
    return [0, 0, array.size, array.itemsize, array.ctypes.data, *array.shape, *array.strides]


def _checked(array: NDArray[Any]) -> tuple[np.dtype[Any], int]:
    if not (array.flags.c_contiguous and array.flags.aligned and array.flags.writeable):
        raise TypeError("arrays of a bundle are contiguous, aligned and writeable")
    return array.dtype, array.ndim


@functools.cache
def _bundle_type(owner: str, fields: tuple[tuple[str, np.dtype[Any], int], ...]) -> BundleType:
    """Kept: to make numba's types of records takes 7 ms a bundle, and a fit makes thousands of bundles."""
    return BundleType(owner, tuple((name, types.Array(from_dtype(dtype), ndim, "C")) for name, dtype, ndim in fields))


class BundleType(types.Type):  # type: ignore[misc]
    """numba's type of a bundle: its class, and the type of each array."""

    def __init__(self, owner: str, fields: tuple[tuple[str, types.Array], ...]) -> None:
        self.fields = fields
        digest = hashlib.sha256("\0".join(f"{name} {array}" for name, array in fields).encode())
        super().__init__(name=f"{owner}_{digest.hexdigest()[:12]}")

    def place(self, name: str) -> int:
        """First word of an array's header."""
        at = 0
        for field, array in self.fields:
            if field == name:
                return at
            at += HEADER + 2 * int(array.ndim)
        raise AttributeError(name)


@typeof_impl.register(Bundle)  # type: ignore[untyped-decorator]
def _type_of(bundle: Any, _context: Any) -> BundleType:
    found: BundleType = bundle._numba_type_
    return found


register_model(BundleType)(models.OpaqueModel)


@unbox(BundleType)  # type: ignore[untyped-decorator]
def _enter(typ: Any, bundle: Any, c: Any) -> NativeValue:
    """The address of the table."""
    number = c.pyapi.object_getattr_string(bundle, "address")
    address = c.pyapi.long_as_ulonglong(number)
    c.pyapi.decref(number)
    return NativeValue(c.builder.inttoptr(address, c.context.get_value_type(typ)))


@infer_getattr
class _Arrays(AttributeTemplate):  # type: ignore[misc]
    key = BundleType

    def generic_resolve(self, typ: BundleType, name: str) -> types.Array | None:
        return dict(typ.fields).get(name)


@lower_getattr_generic(BundleType)  # type: ignore[untyped-decorator]
def _read_header(context: Any, builder: Any, typ: BundleType, address: Any, name: str) -> Any:
    """Load a header. It never changes during a call, and the optimizer is told so: it may read it once, early."""
    array_type = dict(typ.fields)[name]
    first, n_dim = typ.place(name), array_type.ndim
    word = context.get_value_type(types.intp)
    never_changes = builder.module.add_metadata([])

    def load(k: int, llvm_type: Any) -> Any:
        at = builder.gep(builder.bitcast(address, word.as_pointer()), [word(first + k)])
        value = builder.load(builder.bitcast(at, llvm_type.as_pointer()))
        value.set_metadata("invariant.load", never_changes)
        return value

    array = context.make_array(array_type)(context, builder)
    array.meminfo = context.get_constant_null(types.MemInfoPointer(types.voidptr))  # type: ignore[attr-defined]
    array.parent = context.get_constant_null(types.pyobject)
    array.nitems, array.itemsize = load(2, word), load(3, word)
    array.data = load(4, array.data.type)
    array.shape = pack_array(builder, [load(HEADER + k, word) for k in range(n_dim)])
    array.strides = pack_array(builder, [load(HEADER + n_dim + k, word) for k in range(n_dim)])
    return array._getvalue()
