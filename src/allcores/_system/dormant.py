"""An OpenBLAS that sleeps: the threads that it had did not come along when this process was forked.

It begins them anew when they are first needed; and, too, when its function bounds them, be it to a single one. Each
new thread then looks for work for up to a tenth of a second, on a core of its own, before it sleeps: in every worker
as many as the machine has cores. So while it sleeps, its variables are set instead; it reads them when it wakes.
"""

from __future__ import annotations

from ctypes import CDLL, c_int

__all__ = ["bound_dormant"]

# Of the build with threads of its own (see driver/others/blas_server.c): whether they have begun, how many a call may
# use, and how many there are to be.
HAVE_BEGUN, LIMIT, NUMBER = "blas_server_avail", "blas_cpu_number", "blas_num_threads"
OWN_THREADS = "pthreads"


def bound_dormant(pool: object, number: int) -> bool:
    """Bound the threads of a library if it is an OpenBLAS that sleeps, and say whether it is.

    Args:
        pool: as threadpoolctl describes a library.
        number: of threads, at most as many as it once had.
    """
    library = getattr(pool, "dynlib", None)
    if not isinstance(library, CDLL) or getattr(pool, "threading_layer", None) != OWN_THREADS:
        return False
    try:
        have_begun, limit, count = (c_int.in_dll(library, name) for name in (HAVE_BEGUN, LIMIT, NUMBER))
    except ValueError:  # a build that hides them
        return False
    if have_begun.value or not count.value:
        return False
    limit.value = count.value = number
    return True
