"""What has become of the rows so far, and in the end of the batch."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import pyarrow as pa

from mlops.batch.batches import Count, Outcome
from mlops.batch.errors import TooManyRejects
from mlops.batch.progress import Advance
from mlops.batch.rejects import Limit, RejectsFile
from mlops.batch.scorer import Scored


class Tally:
    def __init__(self, limit: Limit, rejects: RejectsFile, advance: Advance) -> None:
        self.rows = 0
        self.rejected = 0
        self.warnings: Counter[str] = Counter()
        self._profile: Counter[tuple[str, int]] = Counter()
        self._records: Counter[str] = Counter()
        self._limit = limit
        self._rejects = rejects
        self._advance = advance

    def count_parts(self, parts: Iterable[Scored]) -> Iterator[pa.RecordBatch]:
        self._rejects.begin()
        for part in parts:
            rows = part.rows(self._records[part.file.path])
            self._records[part.file.path] += part.records
            self.rows += len(rows)
            self.rejected += len(part.rejects)
            self.warnings.update(part.warnings)
            for column, counts in part.profile.items():
                self._profile.update(
                    {(column, bin_): rows for bin_, rows in enumerate(counts.tolist())}
                )
            self._rejects.write(part.rejects)
            self._advance(part.read, len(rows))
            yield rows

    def outcome(self) -> Outcome:
        """Raises TooManyRejects. What was rejected is on the disk before the rest is stored."""
        self._rejects.close()
        total = self.rows + self.rejected
        if self._limit.is_passed(self.rejected, total):
            raise TooManyRejects(
                f"{self.rejected:,} of {total:,} rows break the input contract, more than "
                f"--max-rejects {self._limit.text}: nothing was stored; the rows and reasons are in "
                f"{self._rejects.path}"
            )
        profile = tuple(Count(*place, rows) for place, rows in self._profile.items())
        return Outcome(self.rows, self.rejected, self.warnings.total(), datetime.now(UTC), profile)
