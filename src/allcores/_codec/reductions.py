"""Values that pickle would change on the way, and how they travel instead.

Pickle calls a bound method by its name, and what bears that name may be another. It makes an exception by calling its
class with what the exception keeps as arguments, and forgets what a class adds to a type that says itself how it is
pickled. What arrives is something else then, and nobody hears of it. So here is a reducer for each kind of which that
is known.

`Reducers` is the dispatch table of a pickler, which asks it about every object that is not of the most basic types. It
has an answer for each type, once that was met: for most the one that pickle would find itself, at the same cost.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from itertools import takewhile
from operator import methodcaller
from pickle import PickleBuffer, PicklingError
from types import BuiltinMethodType, FunctionType, MemberDescriptorType, MethodType, MethodWrapperType, ModuleType
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from allcores._codec.definitions.classes import is_definition
from allcores._codec.definitions.definitions import builtin_base, is_enum, is_importable, order_of
from allcores._codec.definitions.unimportable import unimportable_modules
from allcores._codec.mapped import array_types, is_plain_array, reduce_mapped
from allcores._core.hints import Any, TypeAlias

__all__ = ["Reducers"]

PROTOCOL = 5
NATIVE_FORMATS = frozenset("cbB?hHiIlLqQnNfdP")  # which a view can be cast to

Reducer: TypeAlias = "Callable[[Any], Any]"
Reduction = tuple[Any, ...]  # what pickle's ``__reduce__`` gives

_reduce_as_pickle_does = methodcaller("__reduce_ex__", PROTOCOL)
# What has been found out, which takes some time, of types that are there for ever, and of others.
_settled_for_workers: dict[type, Reducer] = {}
_settled_for_drivers: dict[type, Reducer] = {}
_left_to_pickle: dict[int, ref[type]] = {}  # by id, as a metaclass may forbid to compare


class Reducers(dict[type, Reducer]):
    """How to pickle what is of a type.

    Args:
        special: of types that must not go as copies; comes before the rest.
        usual: of types that their own modules have told about.
        is_for_worker: whether arrays of files shall be mapped again.
    """

    def __init__(self, special: Mapping[type, Reducer], usual: Mapping[type, Reducer], *, is_for_worker: bool) -> None:
        super().__init__()
        self._special = special
        self._usual = usual
        self._is_for_worker = is_for_worker
        self._settled = _settled_for_workers if is_for_worker else _settled_for_drivers

    def __missing__(self, kind: type) -> Reducer:
        told = _OWN.get(kind) or self._special.get(kind) or self._usual.get(kind) or self._settled.get(kind)
        self[kind] = reducer = told or self._settle(kind)
        return reducer

    def _settle(self, kind: type) -> Reducer:
        if id(kind) in _left_to_pickle:
            return _reduce_as_pickle_does
        reducer = self._choose(kind)
        if builtin_base(kind) is kind:
            self._settled[kind] = reducer
        elif reducer is _reduce_as_pickle_does:
            identity = id(kind)
            _left_to_pickle[identity] = ref(kind, lambda _: _left_to_pickle.pop(identity, None))
        return reducer

    def _choose(self, kind: type) -> Reducer:
        if issubclass(kind, type):
            raise KeyError(kind)  # classes, whatever their metaclass, are found by their names
        if issubclass(kind, array_types()):
            return self._choose_for_arrays(kind)
        if _is_double(kind):
            return _reduce_number
        if issubclass(kind, BaseException):
            return _choose_for_exceptions(kind)
        if is_enum(kind):
            return _choose_for_members(kind)
        known = (reducer for base in order_of(kind) if (reducer := _OF_SUBCLASSES.get(id(base))) is not None)
        return next(known, None) or _choose_for_others(kind)

    def _choose_for_arrays(self, kind: type) -> Reducer:
        if not is_plain_array(kind):
            return _reduce_derived_array
        return _reduce_array_for_worker if self._is_for_worker else _reduce_array


# ---------------------------------------------------------------------------------------------------------- methods


def _reduce_method(method: MethodType) -> Reduction:
    """Take a method apart: what the object has under the function's name may be something else, or nothing."""
    function, owner = method.__func__, method.__self__
    if isinstance(function, FunctionType) and not (is_importable(function) or is_definition(function)):
        classes = order_of(owner if isinstance(owner, type) else type(owner))
        found = next(((cls, name) for cls in classes for name in _names_in(cls, function)), None)
        if found is not None:
            return _bind, (*found, owner)
    return MethodType, (function, owner)


def _names_in(cls: type, function: FunctionType) -> Iterator[str]:
    """Give the names that a class which can be imported has for a function."""
    if is_importable(cls):
        for name, value in vars(cls).items():
            if value is function or (type(value) is classmethod and value.__func__ is function):
                yield name


def _reduce_builtin_method(method: Any) -> Any:
    """Have a builtin method that the object's class overrides not be taken for the one that overrides it."""
    owner, name = method.__self__, method.__name__
    if owner is None or isinstance(owner, ModuleType) or getattr(owner, name, None) == method:
        return method.__reduce_ex__(PROTOCOL)
    classes = (cls for cls in order_of(type(owner)) if name in vars(cls) and _bind(cls, name, owner) == method)
    return _bind, (next(classes), name, owner)


def _bind(cls: type, name: str, owner: Any) -> Any:
    attribute = vars(cls)[name]
    return attribute.__get__(None, owner) if type(attribute) is classmethod else attribute.__get__(owner, type(owner))


# ---------------------------------------------------------------------------------------------------------- modules


def _reduce_module(module: ModuleType) -> Reduction:
    """Have a module imported; one that cannot be is made of what is in it, unless it is there."""
    name = module.__name__
    if sys.modules.get(name) is module and name not in unimportable_modules():
        return _import, (name,)
    content = {name: value for name, value in vars(module).items() if name != "__builtins__"}
    return _find_or_make_module, (name,), content, None, None, _fill_module


def _import(name: str) -> ModuleType:
    __import__(name)
    return sys.modules[name]


def _find_or_make_module(name: str) -> ModuleType:
    found = sys.modules.get(name)
    return ModuleType(name) if found is None else found


def _fill_module(module: ModuleType, content: dict[str, Any]) -> None:
    if sys.modules.get(module.__name__) is not module:
        vars(module).update(content)


# ------------------------------------------------------------------------------------------------ views and arrays


def _reduce_view(view: memoryview) -> Reduction:
    """Carry what a view shows, and how, but not the object that it shows it of."""
    code = view.format.removeprefix("@")
    if code in NATIVE_FORMATS and (view.nbytes or view.ndim == 1):
        shown = view if view.c_contiguous else memoryview(_copied(view))
        return _make_view, (PickleBuffer(shown), code, view.shape, view.readonly)
    if not array_types():
        raise PicklingError(f"a view of the format {view.format!r} and the shape {view.shape} cannot be pickled")
    return memoryview, (sys.modules["numpy"].asarray(view),)


def _copied(view: memoryview) -> bytes | bytearray:
    return view.tobytes() if view.readonly else bytearray(view.tobytes())


def _make_view(data: Any, code: Any, shape: tuple[int, ...], is_read_only: bool) -> memoryview:  # noqa: FBT001
    view = memoryview(data).cast("B")
    view = view.cast(code) if len(shape) == 1 else view.cast(code, shape)
    return view.toreadonly() if is_read_only else view


def _reduce_array_for_worker(array: Any) -> Reduction:
    reduction = reduce_mapped(array)
    if reduction is None:
        return _reduce_array(array)
    return reduction if array.flags.writeable else _finished_read_only(reduction)


def _reduce_array(array: Any) -> Reduction:
    """Have times travel as integers, as they have no buffer; and swapped bytes in one piece, or pickle swaps them."""
    dtype = array.dtype
    if dtype.kind in "mM":
        return _view_as, (array.view(f"{dtype.byteorder}i8"), dtype)
    if not (dtype.isnative or array.flags.forc):
        copied = array.copy()
        copied.flags.writeable = array.flags.writeable
        return _reduce_array(copied)
    reduction: Reduction = array.__reduce_ex__(PROTOCOL)
    return reduction if array.flags.writeable else _finished_read_only(reduction)


def _view_as(array: Any, dtype: Any) -> Any:
    return array.view(dtype)


def _reduce_derived_array(array: Any) -> Reduction:
    """Keep the attributes of an array, unless its class says itself how it is pickled; masked ones forget one."""
    reduction: Reduction = array.__reduce_ex__(PROTOCOL)
    kind, (ndarray,) = type(array), array_types()
    is_silent = all(getattr(kind, name) is getattr(ndarray, name) for name in ("__reduce__", "__setstate__"))
    attributes = {name: value for name, value in vars(array).items() if is_silent or name == "_hardmask"}
    if attributes and len(reduction) == 3:  # noqa: PLR2004 - what makes it, of what, and its state
        reduction = *reduction[:2], (reduction[2], attributes), None, None, _finish_derived_array
    return reduction if array.flags.writeable else _finished_read_only(reduction)


def _finish_derived_array(array: Any, states: tuple[Any, dict[str, Any]]) -> None:
    state, attributes = states
    array.__setstate__(state)
    vars(array).update(attributes)


def _finished_read_only(reduction: Reduction) -> Reduction:
    """Have an array arrive read-only, as one does anyway whose memory travels by itself, and is read-only."""
    if any(type(part) is PickleBuffer and memoryview(part).readonly for part in reduction[1]):
        return reduction
    make, arguments, state, items, pairs, set_state = (*reduction, None, None, None, None)[:6]
    return make, arguments, (state, set_state), items, pairs, _finish_read_only


def _finish_read_only(array: Any, finish: tuple[Any, Callable[[Any, Any], object] | None]) -> None:
    state, set_state = finish
    if set_state is not None:
        set_state(array, state)
    elif state is not None:
        array.__setstate__(state)
    array.flags.writeable = False


def _is_double(kind: type) -> bool:
    """Whether it is one of NumPy's types of integers that are like another but for the name; pickle gives the other."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not issubclass(kind, getattr(numpy, "integer", ())):
        return False
    dtype = numpy.dtype(kind)
    return dtype.type is kind and numpy.dtype(dtype.str).type is not kind


def _reduce_number(number: Any) -> Reduction:
    return type(number), (int(number),)


# ------------------------------------------------------------------------------------------------------- exceptions


def _choose_for_exceptions(kind: type[BaseException]) -> Reducer:
    """Have the constructor not called again of an exception that leaves its pickling to the builtin ones."""
    base = builtin_base(kind)
    names = ("__reduce__", "__reduce_ex__", "__setstate__", "__getstate__")
    is_left_to_base = all(getattr(kind, name, None) is getattr(base, name, None) for name in names)
    return _reduce_exception if is_left_to_base and base is not kind else _reduce_as_pickle_does


def _reduce_exception(error: BaseException) -> Reduction:
    base: Any = builtin_base(type(error))
    _, arguments, *more = base.__reduce__(error)
    attributes = more[0] if more else {}
    fields = {name: value for name, value in attributes.items() if hasattr(base, name)}
    added = {name: value for name, value in attributes.items() if name not in fields}
    state = added, fields | _held_in_slots(error, base)
    return _make_exception, (type(error), arguments), state, None, None, _set_attributes


def _make_exception(kind: type[BaseException], arguments: tuple[Any, ...]) -> BaseException:
    base = builtin_base(kind)
    error: BaseException = base.__new__(kind, *arguments)
    base.__init__(error, *arguments)  # type: ignore[misc]  # it sets what builtin exceptions keep elsewhere
    return error


# ------------------------------------------------------------------------------------------ members of enumerations


def _choose_for_members(kind: Any) -> Reducer:
    """Call members by their names: values may be equal to nothing, not even themselves."""
    is_left_to_enum = kind.__reduce_ex__ is sys.modules["enum"].Enum.__reduce_ex__
    return _reduce_member if is_left_to_enum else _reduce_as_pickle_does


def _reduce_member(member: Any) -> Any:
    kind, name = type(member), member._name_
    if kind._member_map_.get(name) is not member:  # a combination of flags
        return member.__reduce_ex__(PROTOCOL)
    return _find_member, (kind, name)


def _find_member(kind: Any, name: str) -> Any:
    return kind._member_map_[name]


# ------------------------------------------------------------------------------------------- what classes add to types


def _choose_for_others(kind: type) -> Reducer:
    """Look after what a class adds to one that says itself how it is pickled, and has no attributes to think of.

    `Counter` has, and does not think of them.
    """
    owner = next(cls for cls in order_of(kind) if "__reduce_ex__" in vars(cls))
    if owner is object:
        owner = next(cls for cls in order_of(kind) if "__reduce__" in vars(cls))
    is_told = owner is object or owner is kind or owner.__dictoffset__
    adds_nothing = not kind.__dictoffset__ and not list(_slots_below(owner, kind))
    if (is_told and owner is not Counter) or adds_nothing:
        return _reduce_as_pickle_does

    def reduce(thing: Any) -> Any:
        state: Any = vars(thing) if kind.__dictoffset__ else {}, _held_in_slots(thing, owner)
        reduction = thing.__reduce_ex__(PROTOCOL)
        if not any(state) or type(reduction) is str or reduction[2:3] not in ((), (None,)):
            return reduction
        return *reduction[:2], state, *(*reduction[3:], None, None)[:2], _set_attributes

    return reduce


def _slots_below(base: type, kind: type) -> Iterator[tuple[str, MemberDescriptorType]]:
    """Give the slots that classes from `kind` down to `base` have added to it."""
    for cls in takewhile(lambda cls: cls is not base, order_of(kind)):
        for name, slot in vars(cls).items():
            if type(slot) is MemberDescriptorType:
                yield name, slot


def _held_in_slots(thing: Any, base: type) -> dict[str, Any]:
    """Give, by name, what is held in slots that classes below `base` have added."""
    return {name: slot.__get__(thing) for name, slot in _slots_below(base, type(thing)) if hasattr(thing, name)}


def _set_attributes(thing: Any, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Set attributes, and what is held in slots, past the object's own methods."""
    attributes, slots = state
    if attributes:
        vars(thing).update(attributes)
    for name, value in slots.items():
        object.__setattr__(thing, name, value)


# ------------------------------------------------------------------------------------------------------ descriptors


def _reduce_property(made: Any) -> Reduction:
    state = getattr(made, "__dict__", {}), _held_in_slots(made, property)
    return type(made), (made.fget, made.fset, made.fdel, made.__doc__), state, None, None, _set_attributes


def _reduce_wrapper(method: Any) -> Reduction:
    return type(method), (method.__func__,), (vars(method), {}), None, None, _set_attributes


def _reduce_cached_property(cached: Any) -> Reduction:
    return _make_cached_property, (type(cached), cached.func, cached.attrname)


def _make_cached_property(kind: type, function: Any, name: str | None) -> Any:
    again = kind(function)
    again.attrname = name
    return again


def _reduce_weak(references: Any) -> Reduction:
    return type(references), (dict(references),)


_OWN: dict[type, Reducer] = {
    MethodType: _reduce_method,
    BuiltinMethodType: _reduce_builtin_method,
    MethodWrapperType: _reduce_builtin_method,
    ModuleType: _reduce_module,
    memoryview: _reduce_view,
    partial: _reduce_as_pickle_does,  # multiprocessing forgets its attributes
}
_OF_SUBCLASSES: dict[int, Reducer] = {  # by id, as a metaclass may forbid to compare
    id(cached_property): _reduce_cached_property,  # before Python 3.12 it holds a lock
    id(property): _reduce_property,
    id(staticmethod): _reduce_wrapper,
    id(classmethod): _reduce_wrapper,
    id(WeakKeyDictionary): _reduce_weak,  # in functools.singledispatch, for one
    id(WeakValueDictionary): _reduce_weak,
}
