"""What is raised where something cannot be told by its content."""

from __future__ import annotations

from allcores._journal.digest.names import type_name

__all__ = ["Undigestible", "explain"]


class Undigestible(Exception):
    """A thing's content cannot be told; the text names the type and says why."""


def explain(kind: type, error: Exception) -> Undigestible:
    """Say that something of a type cannot be told because of what it has raised."""
    texts = [part for part in error.args if type(part) is str]  # anything else would be asked for its repr
    reason = ": ".join([type_name(type(error)), *texts])
    return Undigestible(f"a {type_name(kind)} cannot be told by its content ({reason})")
