"""A logged model as MLflow saves, loads and serves it: its parts are known, so that nothing is inferred or tried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.schema import Column, family
from mlops_assets.models import raw_rows
from mlops_assets.models.fit_files import FILES, FitFile
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pandas as pd


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
        half_width: How far the intervals of what it predicts reach to each side; None where it has none.
    """

    file: FitFile
    data: bytes
    content: str
    types: tuple[str, ...]
    requirements: tuple[str, ...]
    modules: Mapping[str, str]
    half_width: float | None = None


def save_model(
    folder: Path, description: Any, fit: LoggedFit, model: ModelDefinition, example: "pd.DataFrame | None"
) -> Path:
    """Save a logged model as MLflow has it.

    Args:
        folder: An empty folder, for the model and what it is made of.
        description: MLflow's ``Model`` with the identity of the logged model.
        fit: The fit.
        model: Says what it takes and gives.
        example: A few rows of raw features.

    Returns:
        The model's folder.
    """
    import mlflow

    data, code, saved = folder / FILES[fit.file.form], folder / "code", folder / "model"
    data.write_bytes(fit.data)
    loader = f"raw_rows_{text_hash(_source())[:8]}"  # two versions of it may be loaded in one process
    for path, text in {f"{loader}.py": _source(), **fit.modules}.items():
        (code / path).parent.mkdir(parents=True, exist_ok=True)
        (code / path).write_text(text, encoding="utf-8")
    description.signature = _signature(model)  # as an argument below, MLflow would hold the example against it
    description.add_flavor(
        "sklearn",
        pickled_model=f"data/{data.name}",
        sklearn_version=version("scikit-learn"),
        serialization_format=fit.file.form,
        code="code" if fit.modules else None,
        skops_trusted_types=list(fit.types),
    )
    mlflow.pyfunc.save_model(
        str(saved),
        mlflow_model=description,
        loader_module=loader,
        data_path=str(data),
        code_paths=[str(path) for path in sorted(code.iterdir())],
        model_config={
            "names": list(model.feature_names),
            "numbers": list(model.numbers),
            "classes": [False, True] if model.task == "binary" else list(model.label.classes),
            "columns": [column.name for column in model.answer_columns],
            **({"half_width": fit.half_width} if model.intervals else {}),
        },
        pip_requirements=list(fit.requirements),
        input_example=example,
    )
    return saved


def _signature(model: ModelDefinition) -> Any:
    """What a model takes, which are raw values, and gives.

    Whole numbers and booleans beside a null have no type of MLflow's, so they may be anything.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, Schema

    def taken(column: Column) -> Any:
        if column.type == "string":
            return DataType.string
        fraction = family(column.type) in ("double", "decimal")
        return DataType.double if fraction and column.name in model.numbers else AnyType()

    given = {"string": DataType.string, "boolean": DataType.boolean, "double": DataType.double}
    inputs: Sequence[Any] = [ColSpec(taken(column), column.name) for column in model.features]
    outputs = [ColSpec(given[column.type], column.name) for column in model.answer_columns]
    return ModelSignature(Schema(list(inputs)), Schema(outputs))


@lru_cache(maxsize=1)
def _source() -> str:
    return Path(raw_rows.__file__).read_text(encoding="utf-8")
