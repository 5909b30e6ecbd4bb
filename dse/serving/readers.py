"""Readers: a few threads that read the database, each with a connection of its own."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from dse.errors import StorageError, StudyError
from dse.reading.source import Source, open_source
from dse.reading.studies import study_names
from dse.serving.live import LiveStudy

THREADS = 4
MOST_TRIALS = 2_000_000
"""Kept by a thread; of more, the studies that were not looked at for the longest are forgotten."""

Result = TypeVar("Result")

_logger = logging.getLogger(__name__)


class Readers:
    """Studies for whoever looks: a study is always read by the same thread.

    So one that is large does not hold up the others, and nobody needs a lock.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        self._readers = [_Reader(url, number) for number in range(THREADS)]

    async def study(self, name: str, work: Callable[[LiveStudy], Result]) -> Result:
        """What a function gives for a study, which is read anew before.

        Raises:
            StudyError: There is no such study.
            StorageError: The database fails.
        """
        reader = self._readers[zlib.crc32(name.encode()) % THREADS]
        return await reader.run(lambda: reader.look(name, work))

    async def studies(
        self, names: Sequence[str], work: Callable[[LiveStudy], Result]
    ) -> list[Result | None]:
        """The same for several; None for one that is gone."""

        def try_it(name: str) -> Callable[[_Reader], Result | None]:
            def look(reader: _Reader) -> Result | None:
                try:
                    return reader.look(name, work)
                except StudyError:
                    return None

            return look

        async def one(name: str) -> Result | None:
            reader = self._readers[zlib.crc32(name.encode()) % THREADS]
            return await reader.run(lambda: try_it(name)(reader))

        return list(await asyncio.gather(*map(one, names)))

    async def names(self) -> list[str]:
        """Names of the studies, sorted."""
        reader = self._readers[0]
        return await reader.run(lambda: study_names(reader.now()))

    def close(self) -> None:
        """Close the connections and end the threads."""
        for reader in self._readers:
            reader.close()


class _Reader:
    def __init__(self, url: str, number: int) -> None:
        self._url = url
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"reader-{number}")
        self._open = ExitStack()
        self._source: Source | None = None
        self._studies: dict[str, LiveStudy] = {}

    async def run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.wrap_future(self._thread.submit(self._run, work))

    def _run(self, work: Callable[[], Result]) -> Result:
        if self._source is not None and not self._source.is_current():
            self._forget()
        try:
            result = work()
            if self._source is not None:
                self._source.moment()  # nothing is held while nothing is read
        except StorageError:
            self._forget()  # the next one tries from the start
            raise
        return result

    def now(self) -> Source:
        """The database as it is at this moment."""
        if self._source is None:
            self._source = self._open.enter_context(open_source(self._url))
        self._source.moment()
        return self._source

    def look(self, name: str, work: Callable[[LiveStudy], Result]) -> Result:
        source = self._source or self.now()
        study = self._studies.pop(name, None)
        if study is None:
            study = LiveStudy(source, name)
        else:
            study.refresh()
        self._studies[name] = study
        while len(self._studies) > 1 and self._held() > MOST_TRIALS:
            del self._studies[next(iter(self._studies))]
        return work(study)

    def _held(self) -> int:
        return sum(len(study.columns) for study in self._studies.values())

    def _forget(self) -> None:
        self._studies.clear()
        self._source = None
        try:
            self._open.close()
        except Exception as error:  # a connection that is broken cannot be closed properly
            _logger.debug("a connection was not closed: %s", error)

    def close(self) -> None:
        self._thread.submit(self._forget).result()
        self._thread.shutdown()
