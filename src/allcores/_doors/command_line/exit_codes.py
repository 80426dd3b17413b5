"""How a command ends, as its exit code says."""

__all__ = ["ALL_WELL", "BROKEN_PIPE", "INTERRUPTED", "SOME_FAILED", "USAGE"]

ALL_WELL, SOME_FAILED, USAGE = 0, 1, 2
INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 and the number of the signal, as shells have it
