"""Counts the rows of a batch while they are stored, and decides whether the batch may be stored."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import pyarrow as pa

from mlops.batch.batches import Count, Outcome
from mlops.batch.errors import TooManyRejects
from mlops.batch.progress import Advance
from mlops.batch.rejects import Limit, RejectsFile
from mlops.batch.scorer import Scored
from mlops.tables.row_hashes import NO_ROWS, RowSample


class Tally:
    def __init__(self, limit: Limit, rejects: RejectsFile, advance: Advance) -> None:
        self.rows = 0
        self.rejected = 0
        self.warnings: Counter[str] = Counter()
        self._profile: Counter[tuple[str, int]] = Counter()
        self._sample = NO_ROWS
        self._records = 0
        self._limit = limit
        self._rejects = rejects
        self._advance = advance

    def count_parts(self, parts: Iterable[Scored]) -> Iterator[pa.RecordBatch]:
        """Yields the scored rows of each part, after it has counted them and written the rejects."""
        self._rejects.remove_earlier()
        for part in parts:
            rows = part.rows(self._records)
            self._records += part.records
            self.rows += len(rows)
            self.rejected += len(part.rejects)
            self.warnings.update(part.warnings)
            for column, counts in part.profile.items():
                self._profile.update(
                    {(column, bin_): rows for bin_, rows in enumerate(counts.tolist())}
                )
            self._sample = RowSample.merged([self._sample, part.sample])
            self._rejects.write_rejects(part.rejects)
            self._advance(part.size, len(rows))
            yield rows

    def outcome(self) -> Outcome:
        """Returns the outcome of the batch, after the file of rejects is closed. Raises TooManyRejects if the
        limit is exceeded."""
        self._rejects.close()
        total = self.rows + self.rejected
        if self._limit.is_exceeded(self.rejected, total):
            raise TooManyRejects(
                f"{self.rejected:,} of {total:,} rows break the input contract, more than "
                f"--max-rejects {self._limit.text}, and nothing was stored: {self._rejects.path} names "
                "the rows and the reasons"
            )
        profile = tuple(Count(*bin_, rows) for bin_, rows in self._profile.items())
        warnings, now = self.warnings.total(), datetime.now(UTC)
        return Outcome(self.rows, self.rejected, warnings, now, profile, self._sample)
