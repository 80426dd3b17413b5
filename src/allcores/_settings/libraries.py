"""Settings of libraries.

Each row knows its library by what that documents, and by private names only to see at a glance whether anything has
changed; where those are gone, it asks in public, which takes longer.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from functools import partial

from allcores._core.hints import Any
from allcores._settings.setting import UNKNOWN, Reader, Setting

__all__ = ["ROWS"]


def _changes(present: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is not as usual."""
    missing = object()
    return {name: value for name, value in present.items() if not _is_equal(value, usual.get(name, missing))}


def _is_equal(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))


def _quietly(write: Callable[[Any], object]) -> Callable[[Any], object]:
    """Have no warning come of it that a setting is out of date: whoever made it has seen that."""

    def write_quietly(value: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(value)

    return write_quietly


# ------------------------------------------------------------------------------------------------------------- numpy

_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
_PRINTING = {
    "edgeitems": 3,
    "threshold": 1000,
    "floatmode": "maxprec",
    "precision": 8,
    "suppress": False,
    "linewidth": 75,
    "nanstr": "nan",
    "infstr": "inf",
    "sign": "-",
    "formatter": None,
    "legacy": False,
    "override_repr": None,
}
_BUFFER = 8192


def _in_context(module: str, name: str, read: Reader) -> Callable[[], Reader]:
    """Give a glance at what NumPy 2 keeps in a context variable, whose value is a new object after each change."""

    def glance() -> Reader:
        variable = getattr(sys.modules.get(module), name, None)
        return read if variable is None else partial(variable.get, None)

    return glance


def _read_error_state() -> Any:
    numpy = sys.modules["numpy"]
    return numpy.geterr(), numpy.getbufsize()


def _write_error_state(value: Any) -> None:
    numpy = sys.modules["numpy"]
    errors, size = value
    numpy.seterr(**errors)
    numpy.setbufsize(size)


def _read_error_callback() -> Any:
    return sys.modules["numpy"].geterrcall()


def _write_error_callback(value: Any) -> None:
    sys.modules["numpy"].seterrcall(value)


def _read_printing() -> Any:
    return _changes(sys.modules["numpy"].get_printoptions(), _PRINTING)


def _write_printing(value: Any) -> None:
    numpy = sys.modules["numpy"]
    present = numpy.get_printoptions()
    wanted = {name: option for name, option in (_PRINTING | value).items() if name in present}
    if wanted != present:
        numpy.set_printoptions(**wanted)


# ------------------------------------------------------------------------------------------------------------ pandas


def _pandas_config() -> dict[str, Any]:
    """Give what has all options in a dict; to ask in public for each takes twenty times as long."""
    return vars(sys.modules["pandas._config.config"])


def _glance_at_pandas() -> Reader:
    leaves = _leaves(_pandas_config()["_global_config"])
    return lambda: [*map(list, map(dict.values, leaves))]


def _leaves(options: Any) -> list[Any]:
    """Give the dicts that options are in, those within others, too."""
    inner = [part for part in options.values() if type(part) is dict]
    return [options, *(leaf for part in inner for leaf in _leaves(part))]


def _flatten(options: Any, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, part in options.items():
        flat |= _flatten(part, f"{prefix}{name}.") if type(part) is dict else {prefix + name: part}
    return flat


def _read_pandas() -> dict[str, Any]:
    config = _pandas_config()
    usual = {name: option.defval for name, option in config["_registered_options"].items()}
    return _changes(_flatten(config["_global_config"]), usual)


def _write_pandas(value: Any) -> None:
    pandas: Any = sys.modules["pandas"]
    present = _read_pandas()
    for name in present.keys() - value.keys():
        pandas.reset_option(name)
    for name, option in _changes(value, present).items():
        pandas.set_option(name, option)


# -------------------------------------------------------------------------------------------------------- matplotlib


def _glance_at_matplotlib() -> Reader:
    values = partial(dict.values, sys.modules["matplotlib"].rcParams)  # not in its own way, which warns and converts
    return lambda: list(values())


def _read_matplotlib() -> dict[str, Any]:
    matplotlib: Any = sys.modules["matplotlib"]
    present, usual = dict(dict.items(matplotlib.rcParams)), dict(dict.items(matplotlib.rcParamsOrig))
    changes = _changes(present, usual)
    return {name: value for name, value in changes.items() if type(value) is not object}  # a backend yet to be found


def _write_matplotlib(value: Any) -> None:
    matplotlib: Any = sys.modules["matplotlib"]
    present = _read_matplotlib()
    for name in present.keys() - value.keys():
        matplotlib.rcParams[name] = dict.__getitem__(matplotlib.rcParamsOrig, name)
    for name, option in _changes(value, present).items():
        matplotlib.rcParams[name] = option


# ------------------------------------------------------------------------------------------------------------ others


def _read_sklearn() -> Any:
    sklearn: Any = sys.modules["sklearn"]
    present, usual = sklearn.get_config(), _usual_sklearn()
    return {} if present == usual else _changes(present, usual)


def _usual_sklearn() -> dict[str, Any]:
    usual: dict[str, Any] = getattr(sys.modules.get("sklearn._config"), "_global_config", {})
    return usual


def _write_sklearn(value: Any) -> None:
    sklearn: Any = sys.modules["sklearn"]
    wanted = _changes(_usual_sklearn() | value, sklearn.get_config())
    if wanted:
        sklearn.set_config(**wanted)


def _read_xarray() -> Any:
    return dict(sys.modules["xarray.core.options"].OPTIONS)


def _write_xarray(value: Any) -> None:
    wanted = _changes(value, _read_xarray())
    if wanted:
        sys.modules["xarray"].set_options(**wanted)


_SPECIAL = dict.fromkeys(
    ("singular", "underflow", "overflow", "slow", "loss", "no_result", "domain", "arg", "other"), "ignore"
) | {"memory": "raise"}


def _read_special() -> Any:
    present = sys.modules["scipy.special"].geterr()
    return {} if present == _SPECIAL else _changes(present, _SPECIAL)


def _write_special(value: Any) -> None:
    special: Any = sys.modules["scipy.special"]
    present = special.geterr()
    wanted = {name: action for name, action in (_SPECIAL | value).items() if present.get(name, action) != action}
    if wanted:
        special.seterr(**wanted)


_MPMATH = ("mp.prec", "mp.pretty", "mp.trap_complex", "iv.prec")


def _read_mpmath() -> Any:
    mpmath: Any = sys.modules["mpmath"]
    return mpmath.mp.prec, mpmath.mp.pretty, mpmath.mp.trap_complex, mpmath.iv.prec


def _write_mpmath(value: Any) -> None:
    mpmath: Any = sys.modules["mpmath"]
    for name, option, present in zip(_MPMATH, value, _read_mpmath(), strict=True):
        if option != present:
            context, _, field = name.partition(".")
            setattr(getattr(mpmath, context), field, option)


def _read_torch() -> Any:
    torch: Any = sys.modules["torch"]
    return (
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_float32_matmul_precision(),
    )


def _write_torch(value: Any) -> None:
    torch: Any = sys.modules["torch"]
    dtype, is_deterministic, only_warns, precision = value
    torch.set_default_dtype(dtype)
    torch.use_deterministic_algorithms(is_deterministic, warn_only=only_warns)
    torch.set_float32_matmul_precision(precision)


def _read_gradients() -> Any:
    torch: Any = sys.modules["torch"]
    return torch.is_grad_enabled()


def _write_gradients(value: Any) -> None:
    sys.modules["torch"].set_grad_enabled(value)


# Of jax's many, those that results hang on.
_JAX = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_numpy_dtype_promotion",
    "jax_numpy_rank_promotion",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_debug_nans",
    "jax_debug_infs",
    "jax_disable_jit",
)


def _read_jax() -> Any:
    config = sys.modules["jax"].config
    return {name: getattr(config, name) for name in _JAX if hasattr(config, name)}


def _write_jax(value: Any) -> None:
    jax: Any = sys.modules["jax"]
    for name, option in _changes(value, _read_jax()).items():
        jax.config.update(name, getattr(option, "value", option))  # the value of an enum's member


_GMPY2 = (
    *("precision", "real_prec", "imag_prec", "round", "real_round", "imag_round", "emax", "emin", "subnormalize"),
    *("trap_underflow", "trap_overflow", "trap_inexact", "trap_invalid", "trap_erange", "trap_divzero"),
    *("allow_complex", "rational_division"),
)


def _read_gmpy2() -> Any:
    context = sys.modules["gmpy2"].get_context()
    return tuple(getattr(context, name) for name in _GMPY2)


def _write_gmpy2(value: Any) -> None:
    context = sys.modules["gmpy2"].get_context()
    for name, option, present in zip(_GMPY2, value, _read_gmpy2(), strict=True):
        if option != present:
            setattr(context, name, option)


ROWS = (
    Setting(
        "NumPy error state",
        "numpy",
        _read_error_state,
        _write_error_state,
        (_ERRORS, _BUFFER),
        _in_context("numpy._core.umath", "_extobj_contextvar", _read_error_state),
        is_of_context=True,
    ),
    Setting(
        "NumPy error callback",
        "numpy",
        _read_error_callback,
        _write_error_callback,
        None,
        _in_context("numpy._core.umath", "_extobj_contextvar", _read_error_callback),
        is_of_context=True,
    ),
    Setting(
        "NumPy print options",
        "numpy",
        _read_printing,
        _write_printing,
        {},
        _in_context("numpy._core.printoptions", "format_options", _read_printing),
        is_of_context=True,
    ),
    Setting("SciPy special errors", "scipy.special", _read_special, _write_special, {}),
    Setting("pandas options", "pandas", _read_pandas, _quietly(_write_pandas), {}, _glance_at_pandas),
    Setting(
        "matplotlib rcParams",
        "matplotlib",
        _read_matplotlib,
        _quietly(_write_matplotlib),
        {},
        _glance_at_matplotlib,
    ),
    Setting(
        "scikit-learn configuration",
        "sklearn",
        _read_sklearn,
        _quietly(_write_sklearn),
        {},
        is_of_thread=True,
        is_of_context=True,
    ),
    Setting("xarray options", "xarray", _read_xarray, _quietly(_write_xarray), UNKNOWN),
    Setting("mpmath precision", "mpmath", _read_mpmath, _write_mpmath, (53, False, False, 53)),
    Setting("gmpy2 context", "gmpy2", _read_gmpy2, _write_gmpy2, UNKNOWN, is_of_context=True),
    Setting("jax configuration", "jax", _read_jax, _write_jax, UNKNOWN),
    Setting("PyTorch defaults", "torch", _read_torch, _write_torch, UNKNOWN),
    Setting(
        "PyTorch gradients",
        "torch",
        _read_gradients,
        _write_gradients,
        default=True,
        is_of_thread=True,
        is_of_context=True,
    ),
)
