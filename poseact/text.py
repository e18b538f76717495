"""Foreign text in messages: names of files and what files hold must not steer a terminal."""

from typing import Final

_LONGEST: Final = 120
"""Characters of a foreign value that a message shows."""


def printable(text: str) -> str:
    """Escape what would break a line, steer a terminal or turn the direction of writing.

    Returns:
        The text; each character that Python calls unprintable as it stands in a Python string.
    """
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def shown(value: object) -> str:
    """Return a value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
