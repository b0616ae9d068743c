"""The folder of a logged model, as MLflow loads and serves it: its parts are known, so nothing is inferred or tried."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.schema import Column, family
from mlops_assets.models import raw_rows
from mlops_assets.models.fit_files import FILES, FitFile

if TYPE_CHECKING:
    import pandas as pd

CODE = "code"
REQUIREMENTS = "requirements.txt"
PYTHON = "python_env.yaml"
BUILT_WITH = ("pip", "setuptools", "wheel")


@dataclass(frozen=True)
class LoggedFit:
    """One fit, as it is logged.

    Args:
        file: How it was kept.
        data: The file.
        content: The content hash of the fit.
        types: Types beyond skops's own list that the file may hold.
        requirements: What it needs, as ``NAME==VERSION``.
        modules: The project's modules that hold classes of the file: texts by path.
    """

    file: FitFile
    data: bytes
    content: str
    types: tuple[str, ...]
    requirements: tuple[str, ...]
    modules: Mapping[str, str]


@dataclass(frozen=True)
class Signature:
    """What a logged model takes and gives.

    Args:
        features: What it takes: raw values, null where they are missing.
        numbers: Names of those that are numbers; the others are categories.
        classes: Of a classification its classes; none of a regression.
        predictions: What it gives.
    """

    features: tuple[Column, ...]
    numbers: tuple[str, ...]
    classes: tuple[Any, ...]
    predictions: tuple[Column, ...]


def write_folder(
    folder: Path, description: Any, fit: LoggedFit, signature: Signature, example: "pd.DataFrame | None"
) -> None:
    """Write the folder of a logged model.

    Args:
        folder: An empty folder.
        description: MLflow's ``Model`` with the identity of the logged model.
        fit: The fit.
        signature: What it takes and gives.
        example: A few rows of raw features.
    """
    import mlflow
    import yaml
    from mlflow.models.utils import _save_example

    name = FILES[fit.file.form]
    (folder / name).write_bytes(fit.data)
    loader = f"raw_rows_{text_hash(_source())[:8]}"  # two versions of it may be loaded in one process
    for path, text in {f"{loader}.py": _source(), **fit.modules}.items():
        file = folder / CODE / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (folder / REQUIREMENTS).write_text("\n".join(fit.requirements), encoding="utf-8")
    environment = {
        "python": ".".join(map(str, sys.version_info[:3])),
        "build_dependencies": list(_built_with()),
        "dependencies": [f"-r {REQUIREMENTS}"],
    }
    (folder / PYTHON).write_text(yaml.safe_dump(environment, sort_keys=False), encoding="utf-8")
    description.signature = _as_mlflow(signature)
    if example is not None:
        _save_example(description, example, str(folder))
    description.add_flavor(
        "sklearn",
        pickled_model=name,
        sklearn_version=version("scikit-learn"),
        serialization_format=fit.file.form,
        code=CODE if fit.modules else None,
        skops_trusted_types=list(fit.types),
    )
    rows = {
        "names": [column.name for column in signature.features],
        "numbers": list(signature.numbers),
        "classes": list(signature.classes),
        "columns": [column.name for column in signature.predictions],
    }
    mlflow.pyfunc.add_to_model(
        description, loader_module=loader, code=CODE, python_env=PYTHON, **{raw_rows.CONFIGURATION: rows}
    )
    description.model_size_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    description.save(str(folder / "MLmodel"))


def _as_mlflow(signature: Signature) -> Any:
    """As MLflow has it: whole numbers and booleans beside a null have no type of MLflow's, so they may be anything."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, Schema

    def taken(column: Column) -> Any:
        if column.type == "string":
            return DataType.string
        fraction = family(column.type) in ("double", "decimal")
        return DataType.double if fraction and column.name in signature.numbers else AnyType()

    given = {"string": DataType.string, "boolean": DataType.boolean, "double": DataType.double}
    inputs: Sequence[Any] = [ColSpec(taken(column), column.name) for column in signature.features]
    outputs = [ColSpec(given[column.type], column.name) for column in signature.predictions]
    return ModelSignature(Schema(list(inputs)), Schema(outputs))


@lru_cache(maxsize=1)
def _source() -> str:
    return Path(raw_rows.__file__).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _built_with() -> tuple[str, ...]:
    """What builds an environment here, as far as it is installed."""
    found = []
    for name in BUILT_WITH:
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return tuple(found)
