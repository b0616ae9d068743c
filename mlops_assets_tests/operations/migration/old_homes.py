"""Homes as earlier releases left them, unpacked, and what is true of them."""

import json
import shutil
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mlops_assets.lakehouse.home import Home
from mlops_assets.lakehouse.working_alone import LOCK
from mlops_assets.platform import Platform
from mlops_assets.project.attributes import RENAMED
from mlops_assets.project.folder import find_project
from mlops_assets.project.yaml_files import FILE_NAME

HOMES = Path(__file__).parents[2] / "homes"


@dataclass(frozen=True)
class OldHome:
    """A project, the home of an earlier release, and what is true of it before and after."""

    folder: Path
    truth: dict[str, Any]

    @classmethod
    def unpack(cls, number: int, folder: Path) -> "OldHome":
        """The home of a format."""
        with tarfile.open(HOMES / f"format_{number}.tar.xz") as packed:
            packed.extractall(folder, filter="data")
        for file in folder.rglob(FILE_NAME):  # its fields as they are called now, as `check` says
            text = file.read_text(encoding="utf-8")
            for old, new in RENAMED.items():
                text = text.replace(f"{old}:", f"{new}:")
            file.write_text(text, encoding="utf-8")
        return cls(folder, json.loads((HOMES / f"format_{number}.json").read_text(encoding="utf-8")))

    def copy(self, folder: Path) -> "OldHome":
        """A copy to write to."""
        shutil.copytree(self.folder, folder)
        return OldHome(folder, self.truth)

    @property
    def home(self) -> Home:
        return Home(self.folder / "home")

    @property
    def project(self) -> Path:
        return self.folder / "shop"

    @cached_property
    def platform(self) -> Platform:
        return Platform.of(find_project(self.project).read(), self.home)


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder, and every folder; but for the lock of who works there alone, which is no state."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.name != LOCK
    }
