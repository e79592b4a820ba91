"""Where a dataset's files come from, and whether they are there, whole and as published."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

from training.datasets.errors import DataError


@dataclass(frozen=True)
class Files:
    """What should be in one place of a dataset's folder.

    Attributes:
        pattern: Paths in the folder, with wildcards; each may end in .gz, too.
        count: How many paths match it, where that is known.
        digest: md5 or sha256, where one is known, of the files one after the other as `cat <pattern>` prints them, by
            path, those in .gz decompressed.
    """

    pattern: str
    count: int | None = None
    digest: str | None = None

    def paths(self, folder: Path) -> list[Path]:
        """The paths that match, in order."""
        return sorted(folder.glob(self.pattern)) or sorted(folder.glob(f"{self.pattern}.gz"))

    def fault(self, folder: Path) -> str | None:
        """What is not as it should be, in words."""
        paths = self.paths(folder)
        if not paths:
            return f"{self.pattern} is missing"
        if self.count not in (None, len(paths)):
            return f"{self.pattern} are {len(paths)}, not {self.count}"
        if self.digest is None:
            return None
        total = hashlib.new("md5" if len(self.digest) == 32 else "sha256", usedforsecurity=False)
        for path in paths:
            try:
                data = path.read_bytes()
                total.update(gzip.decompress(data) if path.suffix == ".gz" else data)
            except (OSError, EOFError, zlib.error) as error:
                return f"{path.relative_to(folder)} cannot be read: {error}"
        return None if total.hexdigest() == self.digest else f"{self.pattern} differs from what was published"


@dataclass(frozen=True)
class Source:
    """What a dataset needs and where that comes from: the one place that says so.

    Attributes:
        title: The dataset's name in a sentence.
        needs: The files in `<data>`, the folder that --data is pointed at.
        origin: Where to fetch them.
        licence: What they may be used for.
        folder: What `<data>` is called where all datasets lie side by side; empty where there is no such place.
        files: What should be in it; none where nothing is read, or nobody can say what.
    """

    title: str
    needs: str
    origin: str
    licence: str
    folder: str = ""
    files: tuple[Files, ...] = ()

    @property
    def help(self) -> str:
        """What to fetch and where to put it."""
        return f"{self.title} needs {self.needs}, from {self.origin}; point --data at <data>."

    def check(self, folder: Path) -> str:
        """Compares what is in `folder` with what was published.

        Returns:
            How much there is, and whether it is intact or, where no checksums are known, only present.

        Raises:
            DataError: something is missing or differs.
        """
        faults = [fault for files in self.files if (fault := files.fault(folder))]
        if faults:
            raise DataError("; ".join(faults))
        if not self.files:
            return "nothing to fetch"
        count = sum(len(files.paths(folder)) for files in self.files)
        known = all(files.digest for files in self.files)
        return f"intact: {count} files" if known else f"present: {count} folders, of which no checksums are known"
