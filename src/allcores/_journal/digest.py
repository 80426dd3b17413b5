"""What things are, in sixteen bytes: the same in every process, different for what differs.

A thing is *described* in bytes, and the description is hashed. Descriptions are words with their length or an end mark,
so that one after another they can be read in only one way; what has no order is sorted by its elements' descriptions.
Neither ``__eq__``, ``__hash__`` nor ``__repr__`` of a user's class has a say: an object is what it says of itself to
pickle.

There are two ways to look at things. As items, functions and classes that can be imported are their names. As what is
computed (`digest_function`), those of the function's own module are their code, too, and so is all that they call
there. Warts:

- A function that is reached as an attribute of a module (``helpers.clean``), or through an object that the function is
  given, is a name only. So is what a list or a dict of a module holds.
- Objects that refer to each other in a circle are told apart by how they are shared, too.
- In a set, or as the key of a dict, a function that `digest_function` finds is its name and its own code.
- Bytecode is another one in another version of Python.
"""

from __future__ import annotations

import copyreg
import functools
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from hashlib import blake2b
from itertools import chain, islice, repeat
from operator import itemgetter
from struct import Struct
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, ClassVar

from allcores._codec.definitions.classes import MAIN
from allcores._objects.asking import ask

__all__ = ["Classes", "Undigestible", "digest_function", "digest_item"]

Classes = dict[int, tuple[type, bytes]]  # {id: (class, description)}

Ways = dict[int, Callable[[Any, Any], bytes]]  # {id of a type: method of a describer}

SIZE = 16  # bytes of a digest: of a billion different things, two agree once in a hundred billion billion runs
LONG = 256  # bytes: a longer description goes on as its hash, so that nothing is copied once per level
PATIENCE = 10_000  # objects to be described again, which circles through sets can do without end: a fifth of a second

HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made at run time, not compiled in
HAS_DOCSTRING = 0x4000000  # CO_HAS_DOCSTRING, since Python 3.14
GLOBAL_READS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
# What the body of a class notes down about its text.
BOOKKEEPING = {"__doc__", "__firstlineno__", "__qualname__", "__static_attributes__"}
# Besides numbers, texts, bytes, enums and tuples: what a module or a class holds counts by value only if it stays.
IMMUTABLE = {
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "datetime.timezone",
    "decimal.Decimal",
    "ellipsis",
    "fractions.Fraction",
    "pathlib.PosixPath",
    "pathlib._local.PosixPath",
    "range",
    "re.Pattern",
}

_MAIN_ONLY = frozenset({MAIN})  # the modules whose functions and classes no name in the next session stands for
_CachedFunction = type(functools.cache(lambda: None))
_DEFINITIONS = (FunctionType, type, _CachedFunction)
_pack_float = Struct("<d").pack
_pack_complex = Struct("<dd").pack


class Undigestible(Exception):
    """A thing's content cannot be told; the text names the type and says why."""


def digest_item(thing: Any, classes: Classes | None = None) -> bytes:
    """Give 16 bytes that tell an item by its content.

    Args:
        thing: anything.
        classes: what was found out about classes that cannot be imported, which takes a millisecond each. Share one
            dict, empty at first, among the items of a run, but not among runs: in between, what the methods of such a
            class call may have been redefined.

    Raises:
        Undigestible: its content cannot be told.
    """
    simple = _SIMPLE.get(id(type(thing)))
    if simple is not None:
        return _hash(simple(thing))
    return _attempt(thing, lambda: _ItemDescriber({} if classes is None else classes).describe(thing))


def digest_function(function: Any) -> bytes:
    """Give 16 bytes that tell what a function computes: by its code, what it captures, and what it calls at home.

    Line numbers, comments, docstrings and the function's own name don't count. What is captured and cannot be told by
    its content counts by its type.

    Args:
        function: anything that can be called.

    Raises:
        Undigestible: it is of a class whose attributes cannot be read.
    """
    return _attempt(function, lambda: _CodeDescriber(_MAIN_ONLY.union(_homes(function))).describe_all_of(function))


def _attempt(thing: Any, describe: Callable[[], bytes]) -> bytes:
    try:
        return _hash(ask(describe))
    except Undigestible:
        raise
    except RecursionError:
        raise Undigestible(f"a {_type_name(type(thing))} is nested too deeply to be told by its content") from None
    except Exception as error:  # code of the user's own classes may raise anything
        raise _undigestible(type(thing), error) from error


def _undigestible(kind: type, error: Exception) -> Undigestible:
    texts = [part for part in error.args if type(part) is str]  # anything else would be asked for its repr
    reason = ": ".join([_type_name(type(error)), *texts])
    return Undigestible(f"a {_type_name(kind)} cannot be told by its content ({reason})")


# ------------------------------------------------------------------------------------------------------------- words


def _hash(description: Any) -> bytes:
    return blake2b(description, digest_size=SIZE).digest()


def _word(tag: bytes, content: Any) -> bytes:
    """Make a word that ends where its length says: ``tag 5:01234``, or ``tag #<hash>`` if it is long."""
    size = len(content)
    return b"%b #%b" % (tag, _hash(content)) if size > LONG else b"%b %d:%b" % (tag, size, content)


def _words(tag: bytes, words: Iterable[bytes]) -> bytes:
    return _word(tag, b"".join(words))


def _text(tag: bytes, text: str) -> bytes:
    return _word(tag, text.encode("utf-8", "surrogatepass"))


_SIMPLE: dict[int, Callable[[Any], bytes]] = {  # by address, since the hash of a type may be the user's
    id(type(None)): lambda _: b"None;",
    id(bool): lambda yes: b"True;" if yes else b"False;",
    id(int): lambda number: b"int %x;" % number,  # decimal digits would take long, and have a limit
    id(float): lambda number: b"float " + _pack_float(number),
    id(complex): lambda number: b"complex " + _pack_complex(number.real, number.imag),
    id(str): lambda text: _word(b"str", text.encode("utf-8", "surrogatepass")),
    id(bytes): lambda content: _word(b"bytes", content),
}


# ------------------------------------------------------------------------------------------------------------- names


def _type_name(kind: type) -> str:
    """Give a type's full name, past whatever its metaclass makes of the attributes."""
    module, name = (type.__dict__[part].__get__(kind) for part in ("__module__", "__qualname__"))
    return name if type(module) is not str or module == "builtins" else f"{module}.{name}"


def _named(definition: Any) -> bytes:
    return _text(b"named", f"{definition.__module__}:{definition.__qualname__}")


def _is_importable(definition: Any) -> bool:
    """Whether its module holds a function or class under its own name."""
    found = sys.modules.get(definition.__module__)
    for name in getattr(definition, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return found is definition


def _goes_by_name(definition: Any, homes: frozenset[str]) -> bool:
    """Whether a function or class is its name, not its code."""
    is_compiled = isinstance(definition, type) and not definition.__flags__ & HEAP_TYPE
    return is_compiled or (definition.__module__ not in homes and _is_importable(definition))


def _homes(function: Any) -> Iterator[str]:
    """Give the modules whose definitions make up what a function computes."""
    kind = type(function)
    if kind is functools.partial:
        yield from _homes(function.func)
    elif kind is _CachedFunction:
        yield from _homes(function.__wrapped__)
    elif kind is MethodType:
        yield from _homes(function.__func__)
        yield from _homes(function.__self__)
    else:
        yield (function if kind is FunctionType or issubclass(kind, type) else kind).__module__


# ------------------------------------------------------------------------------------------------------------- items


class _Describer:
    """Describes things by their content, piece by piece; one for each thing that is asked for.

    A thing that is met again while it is being described is so many levels up. One that was described before, and that
    such a reference led out of, has a number: else circles could be gone round in more ways than there is time for.
    """

    def __init__(self) -> None:
        self._path: dict[int, int] = {}  # {id: level} of what is being described
        self._circles: dict[int, tuple[Any, int]] = {}  # {id: (thing, number)} of what refers to the path, or to these
        self._long: dict[int, tuple[Any, bytes]] = {}  # {id: (thing, description)} of other things that took a while
        self._references = 0
        self._forgotten = 0

    def describe(self, thing: Any) -> bytes:
        """Give a word that tells the thing by its content. Raises whatever the thing's own methods raise."""
        simple = _SIMPLE.get(id(type(thing)))
        if simple is not None:
            return simple(thing)
        if id(thing) in self._long:
            return self._long[id(thing)][1]
        return self._refer_to(thing) or self._describe_new(thing)

    def _refer_to(self, thing: Any) -> bytes:
        """Refer to a thing that was met before; give nothing for one that wasn't."""
        if id(thing) in self._path:
            self._references += 1
            return b"up %x;" % (len(self._path) - self._path[id(thing)])
        if id(thing) in self._circles:
            self._references += 1
            return b"met %x;" % self._circles[id(thing)][1]
        return b""

    def _describe_new(self, thing: Any) -> bytes:
        references = self._references
        self._path[id(thing)] = len(self._path)
        way = self.ways.get(id(type(thing)))
        try:
            description = self._describe_other(thing) if way is None else way(self, thing)
        finally:
            del self._path[id(thing)]
        if self._references > references:
            self._circles[id(thing)] = thing, len(self._circles)
        elif b"#" in description:  # else it is short, and so is the way to it
            self._long[id(thing)] = thing, description
        return description

    def _describe_unordered(self, thing: Any) -> bytes:
        """Describe an element of what has no order, as if nothing in the elements before had been met."""
        simple = _SIMPLE.get(id(type(thing)))
        if simple is not None:
            return simple(thing)
        met = len(self._circles)
        description = self.describe(thing)
        while len(self._circles) > met:
            self._circles.popitem()
            self._forgotten += 1
        if self._forgotten > PATIENCE:
            raise Undigestible(f"a {_type_name(type(thing))} refers to others, and they to it, in too many ways")
        return description

    def _describe_other(self, thing: Any) -> bytes:
        kind = type(thing)
        if issubclass(kind, _DEFINITIONS):
            return self._describe_definition(thing)
        if _is_array(kind):
            return self._describe_array(thing)
        return self._describe_reduced(thing)

    def _describe_definition(self, definition: Any) -> bytes:
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------- containers

    def _describe_tuple(self, things: tuple[Any, ...]) -> bytes:
        return _words(b"tuple", [*map(self.describe, things)])

    def _describe_list(self, things: list[Any]) -> bytes:
        return _words(b"list", [*map(self.describe, things)])

    def _describe_set(self, things: Iterable[Any]) -> bytes:
        return _words(b"set", sorted(map(self._describe_unordered, things)))

    def _describe_frozenset(self, things: frozenset[Any]) -> bytes:
        return _words(b"frozenset", [self._describe_set(things)])

    def _describe_dict(self, things: dict[Any, Any]) -> bytes:
        return self._describe_pairs(things.items(), is_ordered=False)

    def _describe_pairs(self, pairs: Iterable[tuple[Any, Any]], *, is_ordered: bool) -> bytes:
        entries = [(self._describe_unordered(key), value) for key, value in pairs]
        if not is_ordered:
            entries.sort(key=itemgetter(0))
        values = [*map(self.describe, map(itemgetter(1), entries))]
        return _words(b"dict", [key + value for (key, _), value in zip(entries, values, strict=True)])

    def _describe_memoryview(self, view: memoryview) -> bytes:
        return _words(b"memoryview", map(self.describe, (view.format, view.shape, view.tobytes())))

    # ---------------------------------------------------------------------------------------------------- objects

    def _describe_reduced(self, thing: Any) -> bytes:
        """Describe any other object by what it tells pickle."""
        kind = type(thing)
        parts = _reduce(thing)
        if isinstance(parts, str):
            return _text(b"global", f"{_type_name(kind)}:{getattr(thing, '__module__', None)}:{parts}")
        function, arguments, state, items, pairs, setter = islice(chain(parts, repeat(None)), 6)
        if issubclass(kind, (set, frozenset)) and function is kind:
            # The elements are a list, in the order of their hashes.
            arguments = [self._describe_set(part) if type(part) is list else part for part in arguments]
        words = [*map(self.describe, (function, arguments, state, setter))]
        if items is not None:
            words.append(self._describe_list(items))
        if pairs is not None:
            words.append(self._describe_pairs(pairs, is_ordered=issubclass(kind, OrderedDict)))
        return _words(b"object", words)

    def _describe_array(self, thing: Any) -> bytes:
        """Describe an array or a scalar of numpy: the same for every layout in memory."""
        array = sys.modules["numpy"].asarray(thing)
        type_name = f"{_type_name(type(thing))}:{array.dtype.str}:{_type_name(array.dtype.type)}"
        return _words(b"array", [_text(b"type", type_name), self.describe(array.shape), self._describe_elements(array)])

    def _describe_elements(self, array: Any) -> bytes:
        numpy, dtype = sys.modules["numpy"], array.dtype
        if dtype.names is not None:  # field by field, as there may be anything in the gaps between them
            return _words(b"fields", [self.describe(name) + self._describe_array(array[name]) for name in dtype.names])
        if dtype.hasobject or dtype.kind == "T":  # the memory holds addresses
            return self.describe(array.ravel().tolist())
        if dtype.char in "gG":  # gaps in every number, again
            array = array.astype("U")
        return _word(b"elements", memoryview(numpy.ascontiguousarray(array).reshape(-1).view("u1")))

    ways: ClassVar[Ways] = {  # by address, as above
        id(tuple): _describe_tuple,
        id(list): _describe_list,
        id(set): _describe_set,
        id(frozenset): _describe_frozenset,
        id(dict): _describe_dict,
        id(memoryview): _describe_memoryview,
        id(bytearray): lambda _, content: _word(b"bytearray", content),
        id(ModuleType): lambda _, module: _text(b"module", module.__name__),
    }


def _reduce(thing: Any) -> Any:
    """Give what pickle would be given."""
    kind = type(thing)
    try:
        for registered, reducer in copyreg.dispatch_table.items():
            if registered is kind:
                return reducer(thing)
        return thing.__reduce_ex__(4)
    except RecursionError:
        raise
    except Exception as error:  # it may raise anything
        raise _undigestible(kind, error) from error


def _is_array(kind: type) -> bool:
    """Whether it is a type of numpy, or one that adds nothing to it which pickle would keep."""
    numpy = sys.modules.get("numpy")
    bases = (getattr(numpy, "ndarray", None), getattr(numpy, "generic", None))
    return any(base is not None and issubclass(kind, base) and kind.__reduce__ is base.__reduce__ for base in bases)


class _ItemDescriber(_Describer):
    """Describes items: functions and classes by name, or else by code.

    Args:
        classes: descriptions by code, to be used again.
    """

    def __init__(self, classes: Classes) -> None:
        super().__init__()
        self._classes = classes

    def _describe_definition(self, definition: Any) -> bytes:
        if _goes_by_name(definition, _MAIN_ONLY):
            return _named(definition)
        if id(definition) in self._classes:
            return self._classes[id(definition)][1]
        description = _word(b"code", _CodeDescriber(_MAIN_ONLY).describe_all_of(definition))
        if isinstance(definition, type):
            self._classes[id(definition)] = definition, description
        return description


# -------------------------------------------------------------------------------------------------------------- code


_PARTS: dict[int, Callable[[Any], Iterable[Any]]] = {
    id(MethodType): lambda method: (method.__func__, method.__self__),
    id(functools.partial): lambda partial: (partial.func, *_arguments(partial)),
    id(functools.partialmethod): lambda method: (method.func, *_arguments(method)),
    id(functools.cached_property): lambda cached: (cached.func,),
    id(property): lambda made: (made.fget, made.fset, made.fdel),
    id(staticmethod): lambda method: (method.__func__,),
    id(classmethod): lambda method: (method.__func__,),
}


class _CodeDescriber(_Describer):
    """Describes functions and classes by their code, and those that they lead to.

    Args:
        homes: the modules whose functions and classes are described by code, even if they can be imported.
    """

    def __init__(self, homes: frozenset[str]) -> None:
        super().__init__()
        self._homes = homes
        self._definitions: list[Any] = []  # in the order they are met
        self._numbers: dict[int, int] = {}  # {id: index in the list}
        self._is_unordered = False

    def describe_all_of(self, function: Any) -> bytes:
        """Describe a function or a class and, one after another, all that it leads to."""
        words = [self._describe_leniently(function)]
        words.extend(self._describe_body(definition) for definition in self._definitions)  # which grows meanwhile
        return b"".join(words)

    def _describe_definition(self, definition: Any) -> bytes:
        if isinstance(definition, _CachedFunction):
            return self.describe(definition.__wrapped__)
        if _goes_by_name(definition, self._homes):
            return _named(definition)
        if self._is_unordered:
            return _named(definition) + self.describe(getattr(definition, "__code__", None))
        if id(definition) not in self._numbers:
            self._numbers[id(definition)] = len(self._definitions)
            self._definitions.append(definition)
        return b"definition %x;" % self._numbers[id(definition)]

    def _describe_unordered(self, thing: Any) -> bytes:
        was_unordered, self._is_unordered = self._is_unordered, True
        try:
            return super()._describe_unordered(thing)
        finally:
            self._is_unordered = was_unordered

    def _describe_leniently(self, thing: Any) -> bytes:
        try:
            return self.describe(thing)
        except Exception:  # of what cannot be told by its content, the type must do
            return self._describe_type(type(thing))

    def _describe_parts(self, thing: Any) -> bytes:
        kind = type(thing)
        return _words(b"parts", [self._describe_type(kind), self._describe_each(_PARTS[id(kind)](thing))])

    def _describe_each(self, things: Iterable[Any]) -> bytes:
        return _words(b"each", [self._describe_leniently(thing) for thing in things])

    def _describe_type(self, kind: type) -> bytes:
        try:
            return _words(b"some", [self.describe(kind)])
        except Exception:  # its metaclass may raise anything
            return _text(b"some", _type_name(kind))

    # ------------------------------------------------------------------------------------------------- definitions

    def _describe_body(self, definition: Any) -> bytes:
        return self._describe_class(definition) if isinstance(definition, type) else self._describe_function(definition)

    def _describe_function(self, function: FunctionType) -> bytes:
        names = sorted(_global_names(function.__code__) & function.__globals__.keys())
        words = [
            self.describe(function.__code__),
            self._describe_each(function.__defaults__ or ()),
            self._describe_each(chain.from_iterable((function.__kwdefaults__ or {}).items())),
            *[self._describe_cell(cell) for cell in function.__closure__ or ()],
            *[self.describe(name) + self._describe_held(function.__globals__[name]) for name in names],
        ]
        return _words(b"function", words)

    def _describe_cell(self, cell: CellType) -> bytes:
        try:
            content = cell.cell_contents
        except ValueError:  # the variable has no value
            return b"empty;"
        return self._describe_leniently(content)

    def _describe_class(self, kind: type) -> bytes:
        names = sorted(name for name, value in vars(kind).items() if _is_used(name, value))
        words = [
            self.describe(kind.__qualname__),
            self.describe(type(kind)),
            self._describe_each(kind.__bases__),
            *[self.describe(name) + self._describe_held(vars(kind)[name]) for name in names],
        ]
        return _words(b"class", words)

    def _describe_held(self, value: Any) -> bytes:
        """Describe what a module or a class holds under a name: what may change while it runs by its type only."""
        kind = type(value)
        if id(kind) in _PARTS or issubclass(kind, tuple):
            parts = _PARTS.get(id(kind), tuple.__iter__)(value)
            return _words(b"held", [self._describe_type(kind), *map(self._describe_held, parts)])
        if issubclass(kind, (*_DEFINITIONS, ModuleType)) or _is_constant(value):
            return self._describe_leniently(value)
        return self._describe_type(kind) + self.describe(_own_name(value))

    # -------------------------------------------------------------------------------------------------------- code

    def _describe_code(self, code: CodeType) -> bytes:
        words = [
            self.describe((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)),
            self.describe((code.co_flags & ~HAS_DOCSTRING, code.co_exceptiontable)),
            self.describe((code.co_varnames, code.co_cellvars, code.co_freevars)),
            *[b"%d " % number + self.describe(operand) for number, operand in _instructions(code)],
        ]
        return _words(b"code", words)

    ways: ClassVar[Ways] = _Describer.ways | {id(CodeType): _describe_code} | dict.fromkeys(_PARTS, _describe_parts)


def _arguments(partial: Any) -> Iterator[Any]:
    yield len(partial.args)
    yield from partial.args
    yield from chain.from_iterable(partial.keywords.items())


def _is_used(name: str, value: Any) -> bool:
    """Whether a class's attribute is there to be used: a method, or not one of those that Python sets itself."""
    is_special = name.startswith("__") and name.endswith("__")
    return not is_special or type(value) is FunctionType or id(type(value)) in _PARTS


def _is_constant(value: Any) -> bool:
    kind = type(value)
    if kind is frozenset:
        return all(map(_is_constant, value))
    numpy_scalar = getattr(sys.modules.get("numpy"), "generic", Enum)
    return id(kind) in _SIMPLE or _type_name(kind) in IMMUTABLE or issubclass(kind, (Enum, numpy_scalar))


def _own_name(value: Any) -> str:
    """Give the name of something that can be called and has one."""
    if not callable(value):
        return ""
    try:
        names = [getattr(value, part, None) for part in ("__module__", "__qualname__", "__name__")]
    except Exception:  # a proxy that stands for nothing just now, for one
        return ""
    return ":".join(name for name in names if type(name) is str)


def _global_names(code: CodeType) -> set[str]:
    """Give the names that a function, and those defined in it, look up in its module."""
    import dis

    names = {step.argval for step in dis.get_instructions(code) if step.opname in GLOBAL_READS}
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return names.union(*map(_global_names, inner))


def _instructions(code: CodeType) -> Iterator[tuple[int, Any]]:
    """Yield ``(opcode, operand)``: what is in tables by value, since a docstring moves the rest of its table."""
    import dis

    steps = [*dis.get_instructions(code)]
    for step, following in zip(steps, [*steps[1:], *steps[-1:]], strict=True):
        if any(each.opname == "STORE_NAME" and each.argval in BOOKKEEPING for each in (step, following)):
            continue
        if step.opcode in dis.hasconst:
            yield step.opcode, step.argval
        else:
            yield step.opcode, step.argrepr if step.opcode in dis.hasname else step.arg
