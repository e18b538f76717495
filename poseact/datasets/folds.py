"""Folds for cross-validation: whom a model must not learn from, so that it can be measured on them.

A fold is made of whole groups (films, pictures), because people of one film resemble each other.
"""

import hashlib
from typing import Final

NUM_FOLDS: Final = 5

_SALT: Final = "297:"
"""Spreads the thirty films of FLIC, very unequal in size, over folds of 941 to 1,052 people."""


def fold_of(group: str) -> int:
    """Return the fold of a film or picture, 0 to 4.

    It depends on the name alone, so that training and measuring agree without a shared file, and
    a new film moves no other.
    """
    return int(hashlib.sha256(f"{_SALT}{group}".encode()).hexdigest(), 16) % NUM_FOLDS
