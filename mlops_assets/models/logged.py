"""What is logged of a training: what it read, how it was fitted, by which code, and how well it did."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mlops_assets.features.training_sets import training_evidence, training_set_evidence
from mlops_assets.governance.evidence import InputEvidence, code_hash, environment_hash
from mlops_assets.lakehouse.exact import doubles
from mlops_assets.lakehouse.periods import Period
from mlops_assets.models.environment import requirements
from mlops_assets.models.fit_files import Form, trust_to_write, write_fit
from mlops_assets.models.model_folder import LoggedFit
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ROWS_OF_EXAMPLE = 5
PICKLED: dict[Form, tuple[str, ...]] = {"skops": (), "cloudpickle": ("cloudpickle",)}
"""What reading a file of each form needs beside."""


@dataclass(frozen=True)
class LoggedInput:
    """A table that was read.

    Args:
        read: Which version and content of it.
        folder: Where it lies, in its home.
        context: What it was read for: ``training``, or ``features`` and ``labels`` of which the training set is made.
    """

    read: InputEvidence
    folder: str
    context: str


@dataclass(frozen=True)
class Contents:
    """Everything that is logged of a candidate.

    Args:
        inputs: What it read.
        params: How it was fitted.
        metrics: How well the judged fit did.
        tags: Why, and by which definitions and code.
        fits: Its fits, by name; the metrics are those of the first.
        model: The model that they are of.
        example: A few rows as they were looked up, or None.
    """

    inputs: tuple[LoggedInput, ...]
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    fits: Mapping[str, LoggedFit]
    model: ModelDefinition
    example: "pd.DataFrame | None"


def inputs_of(platform: Platform, model: ModelDefinition, at: Period, training_set: str) -> tuple[LoggedInput, ...]:
    """The training set of a period, by its data version, and the tables behind it."""

    def read(evidence: InputEvidence, context: str) -> LoggedInput:
        generation = evidence.generation or model.generation
        folder = platform.home.name_of(platform.generation_folder(evidence.name, generation).folder)
        return LoggedInput(evidence, folder, context)

    labels, *tables = training_evidence(platform, model, at)
    return (
        read(training_set_evidence(platform, model, at, training_set), "training"),
        read(labels, "labels"),
        *(read(table, "features") for table in tables),
    )


def logged_fits(
    model: ModelDefinition, fits: Mapping[str, Any], half_width: float | None = None
) -> dict[str, LoggedFit]:
    """Fits as they are logged, with how far their intervals reach to each side.

    Raises:
        ContractError: A fit cannot be kept, or only as a pickle that the model does not allow.
    """
    trust, function = trust_to_write(model), model.template.function
    kept = {}
    for name, fit in fits.items():
        file, data, content = write_fit(fit, trust, f"'{model.name}' by template '{model.template.name}'")
        modules = {}
        if function and file.form == "skops" and file.classes:
            modules = {
                f"{module.name.replace('.', '/')}{'/__init__' if module.is_package else ''}.py": module.text
                for module in function.modules
            }
        needed = requirements(function, *PICKLED[file.form])
        kept[name] = LoggedFit(file, data, content, trust.types, needed, modules, half_width)
    return kept


def contents_of(
    platform: Platform,
    model: ModelDefinition,
    at: Period,
    rows: "pa.Table",
    training_set: str,
    fits: Mapping[str, LoggedFit],
    *,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    commit: str | None,
) -> Contents:
    """Everything that is logged of a training.

    Args:
        platform: The platform.
        model: The model.
        at: The period trained at.
        rows: Its training set.
        training_set: The data version of these rows.
        fits: Its fits; the metrics are those of the first.
        params: What it was fitted with, beside template, seed and threads.
        metrics: How well it did.
        tags: Why it was trained, and what came of it.
        commit: The project's commit, if there is one.
    """
    template = model.template
    code = {
        **({"mlflow.source.git.commit": commit} if commit else {}),
        "generation": model.generation,
        "template_hash": template.definition_hash,
        "package_version": version("mlops-assets"),
        "code_hash": code_hash(),
        "environment_hash": environment_hash(),
    }
    fixed = {
        "template": f"{template.name} v{template.version}",
        "seed": template.seed,
        "threads": model.threads,
        "period": at.key,
    }
    return Contents(
        inputs_of(platform, model, at, training_set),
        {**params, **fixed},
        metrics,
        {"model": model.name, "period": at.key, **tags, **code},
        fits,
        model,
        _example(model, rows),
    )


def _example(model: ModelDefinition, rows: "pa.Table") -> "pd.DataFrame | None":
    """The last rows of a training set, as they were looked up; None where features are personal.

    Decimals are doubles, as MLflow has no others.
    """
    import pyarrow as pa

    if model.personal_names & set(model.feature_names):
        return None
    newest = rows.slice(max(rows.num_rows - ROWS_OF_EXAMPLE, 0)).select(list(model.feature_names))
    shown = [doubles(column) if pa.types.is_decimal(column.type) else column for column in newest.columns]
    return pa.table(shown, newest.column_names).to_pandas(integer_object_nulls=True)
