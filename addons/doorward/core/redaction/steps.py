"""Work that is done in steps: a generator that gives control back after a bounded piece of it.

Whoever drives it decides what happens between two steps: nothing (`finish`), or a turn of an
event loop that must not stand still while a large body is masked. The result is what the
generator returns. Used by everything here that may meet a large body.
"""

from collections.abc import Generator

type Steps[T] = Generator[None, None, T]


def finish[T](steps: Steps[T]) -> T:
    """Do all of the work at once."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
