"""A policy that is tried in the place of a model's own: `retrain` and `gates` as its YAML has them, in a file alone."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.gates import Gate
from mlops_assets.project.load_gates import load_gates, require_no_personal_segments
from mlops_assets.project.load_models import load_retrain, periods_of
from mlops_assets.project.model_attributes import ModelAttributes, PolicyAttributes
from mlops_assets.project.model_parts import RetrainPolicy
from mlops_assets.project.yaml_files import Document, document_of

AS_DECLARED = "as declared"
WORSE_BY, PERSISTENCE, BY = (0.1, 0.2, 0.4), (1, 2, 4), ("1%", "2%", "5%")
"""What is tried beside what a model declares."""


def load_policy(document: Document, model: ModelDefinition, root: Path) -> tuple[RetrainPolicy, tuple[Gate, ...]]:
    """Resolve a policy against the model that it is tried for; what it leaves out is the model's own.

    Args:
        document: With the fields of `PolicyAttributes`.
        model: The model.
        root: The folder of the project.

    Raises:
        DefinitionError: A field, length, metric or column is wrong.
    """
    written = document.parse(PolicyAttributes)
    parsed = ModelAttributes.model_construct(task=model.task, retrain=written.retrain, gates=written.gates)
    retrain, gates = model.retrain, model.gates
    if written.retrain:
        retrain = load_retrain(parsed, periods_of(document, parsed, model.schema.calendar))
    if written.gates:
        columns = [*model.schema.names, *(column.name for column in model.request), *model.feature_names]
        gates = load_gates(document, parsed, columns, root)
        require_no_personal_segments(document, parsed, model.personal_names)
    return retrain, gates


def policy_variants(model: ModelDefinition) -> dict[str, Document]:
    """What a model declares of trainings and gates, and the same with other bars, by what differs in words."""
    declared = document_of(model.location, model.name)
    if declared is None:
        return {}
    fields = {name: of for name, of in declared.attributes.items() if name in PolicyAttributes.model_fields}
    found, seen = {AS_DECLARED: replace(declared, attributes=fields)}, [fields]
    protected = any(map(_is_protection, fields["gates"]))
    for worse_by, persistence, by in itertools.product(WORSE_BY, PERSISTENCE, BY if protected else [""]):
        retrain = {**fields["retrain"], "worse_by": worse_by, "persistence": persistence}
        gates = [{**gate, "by": by} if _is_protection(gate) else gate for gate in fields["gates"]]
        name = f"worse_by {worse_by}, persistence {persistence}{f', by {by}' if protected else ''}"
        if (tried := {"retrain": retrain, "gates": gates}) not in seen:
            found[name] = replace(declared, attributes=tried)
            seen.append(tried)
    return found


def in_yaml(policy: Document) -> str:
    """A policy as the lines of a model's YAML."""
    return yaml.safe_dump(dict(policy.attributes), default_flow_style=None, sort_keys=False, width=1000).rstrip()


def _is_protection(gate: Any) -> bool:
    return isinstance(gate, dict) and gate.get("not_worse_than") == "champion" and "segments" not in gate
