"""Accelerators: which ones a run hands out, and which each of its workers has."""

from __future__ import annotations

from collections.abc import Sequence

from allcores._core.options import OTHERS, Options

__all__ = ["choose_devices", "hand_out"]


def choose_devices(options: Options, present: Sequence[str] | None) -> tuple[str, ...]:
    """Choose what is handed out; `on="serial"` hands out nothing, as the caller's process has what it has.

    Args:
        options: what the caller asked for.
        present: what this process may use; None or nothing where nobody knows of any.

    Raises:
        ValueError: it is not there, or workers of this kind can be given none.
    """
    asked = options.devices
    if asked is None or options.engine == "serial":
        return ()
    if options.engine in OTHERS:
        raise ValueError(f"devices={asked!r} needs workers that are started for it; use on='processes'")
    if options.engine == "threads":
        raise ValueError(f"devices={asked!r} needs workers that are processes; use on='processes'")
    if options.start == "fork":
        raise ValueError(f"devices={asked!r} needs workers that start clean; leave start='fork' out")
    if isinstance(asked, str):
        if not present:
            raise ValueError(f"devices={asked!r}: there is no such device here, or CUDA_VISIBLE_DEVICES hides them all")
        return tuple(present)
    chosen = tuple(map(str, asked))
    if present and (missing := _missing(chosen, present)):
        raise ValueError(f"devices: {', '.join(missing)} cannot be used here; there are {', '.join(present)}")
    return chosen


def _missing(chosen: Sequence[str], present: Sequence[str]) -> list[str]:
    """Give numbers that are not there; a name may stand for a numbered device, or be short for another name."""
    return [each for each in chosen if each.isdigit() and each not in present] if _are_numbers(present) else []


def _are_numbers(devices: Sequence[str]) -> bool:
    return all(each.isdigit() for each in devices)


def hand_out(devices: Sequence[str], workers: int) -> tuple[tuple[str, ...], ...]:
    """Divide devices evenly among workers, the first one's first; where there are fewer, several workers share each.

    Example:
        >>> hand_out("abc", 2), hand_out("ab", 3)
        ((('a',), ('b', 'c')), (('a',), ('b',), ('a',)))
    """
    if not devices:
        return ()
    if workers >= len(devices):
        return tuple((devices[worker % len(devices)],) for worker in range(workers))
    first = [worker * len(devices) // workers for worker in range(workers + 1)]
    return tuple(tuple(devices[first[worker] : first[worker + 1]]) for worker in range(workers))
