"""The home: the one folder that holds all embedded state (``MLOPS_HOME``, by default ``.mlops`` in the project)."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.clock import HomeClock
from mlops_assets.storage.files import require_looking_into, write_atomically
from mlops_assets.storage.opening import storage_at, storage_of
from mlops_assets.storage.path import StoragePath

HOME_VARIABLE = "MLOPS_HOME"
SMALLEST_FREE_SPACE_VARIABLE = "MLOPS_SMALLEST_FREE_MEGABYTES"
SMALLEST_FREE_MEGABYTES = 200


_UNUSABLE = re.compile(r"[\[\]^|\\\x00-\x1f\x7f]")
"""Characters in whose presence Delta, which makes the host of a URL of a folder's path, panics or reads elsewhere."""


@dataclass(frozen=True)
class Home:
    """Where the embedded state of one platform lies.

    Args:
        folder: The home's own folder; everything below it belongs to the platform.
    """

    folder: Path

    @classmethod
    def find(cls, project_folder: Path | None = None) -> "Home":
        """The home that ``MLOPS_HOME`` names, or else ``.mlops`` in the project (by default: the working folder)."""
        named = os.environ.get(HOME_VARIABLE)
        return cls(Path(named).resolve() if named else (project_folder or Path.cwd()).resolve() / ".mlops")

    @property
    def clock(self) -> HomeClock:
        """The platform clock of this home."""
        return HomeClock(self.folder / "clock.json")

    @property
    def tables(self) -> StoragePath:
        """Delta tables, a folder each."""
        return storage_of(self.folder, "lakehouse") / "tables"

    @property
    def deliveries(self) -> StoragePath:
        """Deliveries as they came."""
        return storage_of(self.folder, "lakehouse") / "deliveries"

    @property
    def pushed(self) -> Path:
        """What applications pushed and no ingestion took yet, and which batches were accepted."""
        return self.folder / "lakehouse" / "pushed"

    @property
    def landing(self) -> Path:
        """Where files arrive, a folder for each source that does not name its own."""
        return self.folder / "landing"

    @property
    def dagster(self) -> Path:
        """Dagster's event log and settings."""
        return self.folder / "dagster"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and artifacts."""
        return self.folder / "mlflow"

    @property
    def reports(self) -> StoragePath:
        """Drift reports; can be made anew from the lakehouse."""
        return storage_of(self.folder, "reports")

    @property
    def backtests(self) -> Path:
        """Trainings of backtests; may be deleted at any time, and are made again."""
        return self.folder / "backtests"

    def name_of(self, path: StoragePath) -> str:
        """What a path in the home is called in what is recorded: from the home on, which may be moved or copied."""
        return path.address.removeprefix(f"{self.folder}/")

    @property
    def scratch(self) -> Path:
        """What engines spill while they work, and the list of fonts of drawings; may be deleted at any time."""
        return self.folder / "scratch"

    def prepare(self) -> "Home":
        """Create the home where it is missing and see that it can be used.

        Raises:
            UnusableEnvironmentError: It is in the format of another release, cannot be written, too little disk is
                left, or the least is not a number.
        """
        self.require_format()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".probe.{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise UnusableEnvironmentError(
                f"the home {self.folder} cannot be written ({error.strerror})",
                "a folder that this user can write",
                f"set {HOME_VARIABLE} to such a folder",
            ) from error
        least = _smallest_free_megabytes()
        free = shutil.disk_usage(self.folder).free // 1_000_000
        if free < least:
            raise UnusableEnvironmentError(
                f"{free} MB free on the disk of {self.folder}",
                f"at least {least} MB",
                f"make room, or set {HOME_VARIABLE} to a folder on another disk",
            )
        return self.begin()

    def begin(self) -> "Home":
        """Write into an empty home which format it is in; of any other see that this release reads it.

        Raises:
            UnusableEnvironmentError: It does not.
        """
        self.require_format()
        if formats.home_format(self.folder) is None:
            write_atomically(self.folder / formats.HOME_FILE, formats.present().as_json())
        return self

    def require_format(self) -> "Home":
        """See that this release reads the home: one look at its path, at its folders, and at a small file.

        Raises:
            UnusableEnvironmentError: Delta cannot work at such a path; this user may not read it; or it is older and
                was not migrated, or newer.
        """
        if unusable := _UNUSABLE.findall(str(self.folder)):
            raise UnusableEnvironmentError(
                f"the home {self.folder}, whose path has {' '.join(dict.fromkeys(map(_shown, unusable)))} in it",
                "a path without [ ] ^ | and backslashes, where Delta tables cannot lie",
                f"set {HOME_VARIABLE} to another folder, or rename that one",
            )
        self._require_readable()
        formats.require_home(self.folder)
        return self

    def _require_readable(self) -> None:
        """See that no folder counts as empty because this user may not look into it."""
        require_looking_into(self.folder, self.dagster, self.mlflow, self.folder / "trail")
        require_looking_into(self.pushed.parent, self.pushed)
        for several in (self.tables, self.deliveries, storage_at(self.landing)):
            several.require_readable()


def _shown(character: str) -> str:
    return character if character.isprintable() else repr(character)


def _smallest_free_megabytes() -> int:
    text = os.environ.get(SMALLEST_FREE_SPACE_VARIABLE, str(SMALLEST_FREE_MEGABYTES))
    try:
        return int(text)
    except ValueError:
        raise UnusableEnvironmentError(
            f"{SMALLEST_FREE_SPACE_VARIABLE} is '{text}'", "a whole number of megabytes", "correct or unset it"
        ) from None
