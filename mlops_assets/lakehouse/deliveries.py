"""Deliveries, kept as they came: the bytes, when they arrived, and what became of them."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from mlops_assets.errors import DamagedStateError, MissingDataError
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.write_points import write_point
from mlops_assets.storage.path import StoragePath


@dataclass(frozen=True)
class Delivery:
    """One delivery of one source.

    Args:
        source: The source's name.
        period: Key of the period it was delivered for.
        number: Counts the deliveries of the period from 1.
        sha256: Hash of its bytes, see `hash_of_contents`.
        files: Names of the files that hold its bytes.
        arrived_at: The platform clock when it was first seen, UTC.
        known_at: From when its rows count as known if the period had none before, UTC.
        accepted: Whether its rows are in the source's table.
    """

    source: str
    period: str
    number: int
    sha256: str
    files: tuple[str, ...]
    arrived_at: datetime
    known_at: datetime
    accepted: bool


@dataclass(frozen=True)
class DeliveryStore:
    """The deliveries of all sources, each its files as they came, then (which makes it count) its record.

    Args:
        folder: Where they lie, a folder for each source and period.
    """

    folder: StoragePath

    def keep(
        self,
        files: Sequence[Path],
        source: str,
        period: str,
        *,
        suffix: str,
        arrived_at: datetime,
        known_at: datetime,
    ) -> Delivery:
        """Keep the files that arrived; the newest kept delivery again, if its bytes are the same.

        Args:
            files: The files of the delivery, at least one.
            source: The source's name.
            period: Key of the period.
            suffix: What the kept files' names end with: it tells their format.
            arrived_at: The platform clock.
            known_at: From when its rows count as known if it is the period's first.

        Raises:
            MissingDataError: A file is not there.
        """
        try:
            contents = [file.read_bytes() for file in files]
        except FileNotFoundError as error:
            raise MissingDataError(
                f"no file {error.filename} for period {period} of source '{source}'",
                "a delivery in the source's landing folder",
                "deliver the file, or choose a period that was delivered",
            ) from None
        digest = hash_of_contents(contents)
        newest = self.newest(source, period)
        if newest and newest.sha256 == digest:
            return newest
        number = newest.number + 1 if newest else 1
        stem = f"{number:04d}-{digest[:12]}"
        ends = [suffix] if len(files) == 1 else [f".{part}{suffix}" for part in range(1, len(files) + 1)]
        names = tuple(stem + end for end in ends)
        delivery = Delivery(source, period, number, digest, names, arrived_at, known_at, accepted=False)
        for kept_file, content in zip(self.content_files(delivery), contents, strict=True):
            kept_file.write(content)
            write_point("delivery content")
        self._record(delivery)
        write_point("delivery record")
        return delivery

    def number_of(self, sha256: str, source: str, period: str) -> int:
        """The number that a delivery of these bytes would be kept under: the newest one's, if it is the same."""
        newest = self.newest(source, period)
        if newest is None:
            return 1
        return newest.number if newest.sha256 == sha256 else newest.number + 1

    def accept(self, delivery: Delivery) -> Delivery:
        """Record that a delivery's rows are in the table."""
        if delivery.accepted:
            return delivery
        accepted = replace(delivery, accepted=True)
        self._record(accepted)
        write_point("delivery accepted")
        return accepted

    def of(self, source: str, period: str) -> list[Delivery]:
        """The deliveries of a period, in the order they came."""
        return [_read(record) for record in self._records(source, period)]

    def newest(self, source: str, period: str) -> Delivery | None:
        """The newest delivery of a period, accepted or not; None where none was kept."""
        records = self._records(source, period)
        return _read(records[-1]) if records else None

    def first_accepted(self, source: str, period: str) -> Delivery | None:
        """The first delivery of a period whose rows were taken, if there was one."""
        deliveries = (_read(record) for record in self._records(source, period))
        return next((delivery for delivery in deliveries if delivery.accepted), None)

    def periods(self, source: str) -> list[str]:
        """The keys of the periods that were delivered, in their order."""
        return (self.folder / source).names()

    def held(self, source: str) -> AbstractContextManager[None]:
        """Wait until nobody else holds the deliveries of a source, and hold them meanwhile."""
        return (self.folder / source).held()

    def accepted(self, source: str) -> list[Delivery]:
        """All deliveries of a source whose rows were taken, by period and in the order they came."""
        periods = self.periods(source)
        return [delivery for period in periods for delivery in self.of(source, period) if delivery.accepted]

    def content_files(self, delivery: Delivery) -> list[StoragePath]:
        """Where the bytes of a delivery lie."""
        return [self.folder / delivery.source / delivery.period / name for name in delivery.files]

    def proven_files(self, delivery: Delivery) -> list[StoragePath]:
        """Where the bytes of a delivery lie, after seeing that they are those that came.

        Raises:
            DamagedStateError: A file is not there, or they are others.
        """
        files = self.content_files(delivery)
        named = f"delivery {delivery.number} of {delivery.period} of source '{delivery.source}'"
        try:
            found = hash_of_contents(file.read_bytes() for file in files)
        except OSError as error:
            raise formats.damaged(f"{named} in {error.filename}", str(error.strerror)) from None
        if found != delivery.sha256:
            raise DamagedStateError(
                f"{named} with the hash {found[:16]}… in {', '.join(map(str, files))}",
                f"{delivery.sha256[:16]}…, which was recorded when it arrived",
                formats.RESTORE,
            )
        return files

    def _records(self, source: str, period: str) -> list[StoragePath]:
        """The records of a period's deliveries, in the order they came; a pushed source may have thousands."""
        folder = self.folder / source / period
        names = [name for name in folder.names() if name.endswith(".json")]
        return [folder / name for name in sorted(names, key=lambda name: int(name.partition("-")[0]))]

    def _record(self, delivery: Delivery) -> None:
        values = formats.numbered(asdict(delivery), formats.DELIVERY)
        content = json.dumps(values, default=datetime.isoformat, indent=1)
        name = f"{delivery.number:04d}-{delivery.sha256[:12]}.json"
        (self.folder / delivery.source / delivery.period / name).write(content.encode())


def hash_of_contents(contents: Iterable[bytes]) -> str:
    """The hash of a file's bytes; of several files that of their hashes, whatever the files are called."""
    digests = sorted(hashlib.sha256(content).hexdigest() for content in contents)
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _read(record: StoragePath) -> Delivery:
    what = f"the delivery {record}"
    content = formats.read_numbered(record, formats.DELIVERY, what)
    try:
        moments = {name: datetime.fromisoformat(content[name]) for name in ("arrived_at", "known_at")}
        return Delivery(**content | moments | {"files": tuple(content["files"])})
    except (KeyError, TypeError, ValueError) as error:
        raise formats.damaged(what, str(error)) from None
