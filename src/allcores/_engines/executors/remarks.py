"""In what workers differ that could be used all the same, so that results need not be the same: said at a run's end."""

from __future__ import annotations

__all__ = ["Remarks"]


class Remarks:
    """Gathers them: each once, however many workers it holds for."""

    def __init__(self) -> None:
        self._workers: dict[str, list[str]] = {}  # {remark: which it holds for, the first one first}

    def hear(self, worker: str, remark: str) -> None:
        """Hear of one.

        Args:
            worker: its name.
            remark: a sentence's end, of which the worker is the beginning.
        """
        workers = self._workers.setdefault(remark, [])
        if worker not in workers:
            workers.append(worker)

    def warning(self) -> RuntimeWarning | None:
        """Give what to warn of; None where there is nothing."""
        told = []
        for remark, (first, *others) in self._workers.items():
            more = f" (and {len(others)} more)" if others else ""
            told.append(f"on {first}{more} {remark}")
        return RuntimeWarning("; ".join(told)) if told else None
