"""Which engine a project runs on: ``[tool.mlops_assets]`` of its pyproject.toml, or ``MLOPS_ENGINE``."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from mlops_assets.errors import DefinitionError, Location, SurroundingsError
from mlops_assets.project.text_files import read_toml

EngineName = Literal["duckdb", "spark"]
ENGINE_VARIABLE = "MLOPS_ENGINE"


@dataclass(frozen=True)
class EngineSettings:
    """The platform's engine and its settings.

    Args:
        declared: The engine that the project names.
        spark: Settings of Spark's session, by Spark's names.
    """

    declared: EngineName = "duckdb"
    spark: Mapping[str, str] = field(default_factory=dict)

    def chosen(self) -> EngineName:
        """The engine that ``MLOPS_ENGINE`` names, or else the project.

        Raises:
            SurroundingsError: The variable names no engine.
        """
        named = os.environ.get(ENGINE_VARIABLE)
        if named is None:
            return self.declared
        for name in _NAMES:
            if name == named:
                return name
        raise SurroundingsError(f"{ENGINE_VARIABLE} is '{named}'", " or ".join(_NAMES), "correct or unset it")


_NAMES: tuple[EngineName, ...] = get_args(EngineName)


def read_engine_settings(defs: Path) -> EngineSettings:
    """The settings of the project whose definitions lie in a folder.

    Args:
        defs: The folder ``defs``, in the project's package; without a pyproject.toml beside the package, DuckDB.

    Raises:
        DefinitionError: The settings name no engine, or Spark's are not names with texts, numbers or truth values.
    """
    file = defs.resolve().parent.parent / "pyproject.toml"
    if not file.is_file():
        return EngineSettings()
    content = read_toml(file).get("tool", {}).get("mlops_assets", {})
    declared, spark = content.get("engine", "duckdb"), content.get("spark", {})
    if declared not in _NAMES:
        raise DefinitionError(
            f"engine '{declared}' in [tool.mlops_assets]",
            " or ".join(_NAMES),
            "correct the engine",
            where=Location(file),
        )
    settings = dict(_flat(spark)) if isinstance(spark, dict) else {"": spark}
    for name, value in settings.items():
        if not name or not isinstance(value, str | int | float):
            raise DefinitionError(
                f"'{name}' = {value!r} in [tool.mlops_assets.spark]",
                'a setting of Spark with its value, such as "spark.master" = "local[2]"',
                "correct the setting",
                where=Location(file),
            )
    return EngineSettings(declared, {name: _text(value) for name, value in settings.items()})


def _flat(table: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """TOML takes a name with dots that is not between quotation marks as tables in tables."""
    found: list[tuple[str, Any]] = []
    for name, value in table.items():
        found += _flat(value, f"{before}{name}.") if isinstance(value, dict) else [(before + name, value)]
    return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
