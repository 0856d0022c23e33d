"""Keeps the index behind the entries without standing in the way of acknowledgements.

Takes committed entries and projects them a little later, in small batches while more come
and in large ones otherwise. When it cannot write, or has too much to remember, it
forgets what it was given and reads on from the segments: the index can always be made
again. Runs in the ledger's loop.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from typing import Final

from doorward.errors import DoorwardError
from doorward.model import Entry
from doorward.store.projection import Projection
from doorward.store.segments import Segments

_SOON_S: Final = 0.02
_AGAIN_S: Final = 5.0
_SMALL: Final = 32
_LARGE: Final = 256
_MOST_REMEMBERED: Final = 5000
_CHECKPOINT_IDLE: Final = 200  # entries
_CHECKPOINT_BUSY: Final = 10_000

log = logging.getLogger(__name__)


class Follower:
    """Projects what was committed."""

    def __init__(self, projection: Projection, segments: Segments) -> None:
        self._projection = projection
        self._segments = segments
        self._is_busy = False  # entries came since the last step
        self._remembered: deque[Entry] = deque()
        self._reads_on = False  # from the segments, because not everything is remembered
        self._timer: asyncio.TimerHandle | None = None

    def committed(self, entries: Sequence[Entry]) -> None:
        """Take entries, in order."""
        if not entries:
            return
        self._is_busy = True
        if not self._reads_on:
            self._remembered.extend(entries)
            if len(self._remembered) > _MOST_REMEMBERED:
                self._forget()
        self._plan(_SOON_S)

    def close(self) -> None:
        """Project what is left, fold the log in, and close."""
        if self._timer is not None:
            self._timer.cancel()
        try:
            self._projection.project(self._remembered)
        except DoorwardError as error:
            log.warning("the index stays behind: %s", error)
        self._projection.close()

    def _plan(self, delay_s: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._run)

    def _run(self) -> None:
        self._timer = None
        busy, self._is_busy = self._is_busy, False
        try:
            self._step(_SMALL if busy else _LARGE)
            self._projection.checkpoint(_CHECKPOINT_BUSY if busy else _CHECKPOINT_IDLE)
        except DoorwardError as error:
            log.warning("the index is behind, trying again in %g s: %s", _AGAIN_S, error)
            self._forget()
            self._plan(_AGAIN_S)
            return
        if self._remembered or self._reads_on:
            self._plan(_SOON_S if busy else 0)

    def _step(self, count: int) -> None:
        if self._reads_on:
            with closing(self._segments.entries(self._projection.seq)) as missing:
                self._projection.project(list(islice(missing, count)))
            self._reads_on = self._projection.seq < self._segments.last_seq
        else:
            entries = list(islice(self._remembered, count))
            self._projection.project(entries)
            for _ in entries:
                self._remembered.popleft()

    def _forget(self) -> None:
        self._remembered.clear()
        self._reads_on = True
