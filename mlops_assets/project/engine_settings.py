"""Which engine a project runs on, within which limits: ``[tool.mlops_assets]`` of its pyproject.toml.

``MLOPS_ENGINE`` names another engine.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from mlops_assets.engines.limits import REQUEST_LIMITS, Limits
from mlops_assets.errors import DefinitionError, UnusableEnvironmentError, nearest
from mlops_assets.project.text_files import Settings, project_settings

EngineName = Literal["duckdb", "spark"]
ENGINE_VARIABLE = "MLOPS_ENGINE"


@dataclass(frozen=True)
class EngineSettings:
    """The platform's engine and its settings.

    Args:
        declared: The engine that the project names.
        spark: Settings of Spark's session, by Spark's names.
        evaluation: What the SQL of a table, population or label may take for one period.
        request: What the computed features of one request may take.
    """

    declared: EngineName = "duckdb"
    spark: Mapping[str, str] = field(default_factory=dict)
    evaluation: Limits = Limits()
    request: Limits = REQUEST_LIMITS

    def chosen(self) -> EngineName:
        """The engine that ``MLOPS_ENGINE`` names, or else the project.

        Raises:
            UnusableEnvironmentError: The variable names no engine.
        """
        named = os.environ.get(ENGINE_VARIABLE)
        if named is None:
            return self.declared
        for name in _NAMES:
            if name == named:
                return name
        raise UnusableEnvironmentError(f"{ENGINE_VARIABLE} is '{named}'", " or ".join(_NAMES), "correct or unset it")


_NAMES: tuple[EngineName, ...] = get_args(EngineName)


def read_engine_settings(defs: Path) -> EngineSettings:
    """The settings of the project whose definitions lie in a folder.

    Args:
        defs: The folder ``defs``, in the project's package; without a pyproject.toml beside the package, DuckDB.

    Raises:
        DefinitionError: The settings name no engine, a limit is none or no whole number above zero, or Spark's settings
            are not names with texts, numbers or truth values.
    """
    settings = project_settings(defs)
    declared, spark = settings.written.get("engine", "duckdb"), settings.written.get("spark", {})
    if declared not in _NAMES:
        raise DefinitionError(
            f"engine '{declared}' in [tool.mlops_assets]",
            " or ".join(_NAMES),
            "correct the engine",
            where=settings.place("engine"),
        )
    of_spark = dict(_flat(spark)) if isinstance(spark, dict) else {"": spark}
    for name, value in of_spark.items():
        if not name or not isinstance(value, str | int | float):
            raise DefinitionError(
                f"'{name}' = {value!r} in [tool.mlops_assets.spark]",
                'a setting of Spark with its value, such as "spark.master" = "local[2]"',
                "correct the setting",
                where=settings.place(name or "spark"),
            )
    evaluation, request = _limits(settings)
    return EngineSettings(declared, {name: _text(value) for name, value in of_spark.items()}, evaluation, request)


_LARGEST = 1_000_000_000


def _limits(settings: Settings) -> tuple[Limits, Limits]:
    """The limits of an evaluation and of a request, as written or by default; what is spilled, both alike."""
    written = settings.written.get("limits", {})
    taken: dict[str, Limits] = {"evaluation": Limits(), "request": REQUEST_LIMITS}
    names = [f"{kind}_{unit}" for kind in taken for unit in ("seconds", "megabytes")] + ["spill_megabytes"]
    for name, value in written.items() if isinstance(written, dict) else [("limits", written)]:
        known = name in names
        if known and type(value) is int and 0 < value <= _LARGEST:
            for kind in [name.partition("_")[0]] if name in names[:-1] else taken:
                taken[kind] = replace(taken[kind], **{name.removeprefix(f"{kind}_"): value})  # type: ignore[arg-type]
            continue
        raise DefinitionError(
            f"'{name}' = {value!r} in [tool.mlops_assets.limits]",
            f"a whole number from 1 to {_LARGEST}" if known else f"one of: {', '.join(names)}",
            "correct it" if known else nearest(name, names, "correct the name"),
            where=settings.place(name),
        )
    return taken["evaluation"], taken["request"]


def _flat(table: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """TOML takes a name with dots that is not between quotation marks as tables in tables."""
    found: list[tuple[str, Any]] = []
    for name, value in table.items():
        found += _flat(value, f"{before}{name}.") if isinstance(value, dict) else [(before + name, value)]
    return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
