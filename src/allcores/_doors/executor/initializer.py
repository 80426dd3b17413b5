"""The initializer of an executor's workers, whose failure is logged where it happens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

__all__ = ["LoggedInitializer"]


class LoggedInitializer:
    """Calls an initializer, and logs its failure in the worker, for ``concurrent.futures``, as the original does."""

    def __init__(self, initializer: Callable[..., object]) -> None:
        self.initializer = initializer

    def __call__(self, *initargs: Any) -> None:
        """Be called once in each worker."""
        try:
            self.initializer(*initargs)
        except BaseException:
            logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)
            raise
