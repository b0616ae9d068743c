"""What a definition is hashed from: what the user wrote, in one form, and nothing of how this code holds it."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.lakehouse.content_hash import canonical_json, definition_hash
from mlops_assets.project.attributes import SourceAttributes
from mlops_assets.project.definition import ProjectDefinition
from mlops_assets.project.load import load_project
from mlops_assets.project.model_attributes import ModelAttributes
from mlops_assets.project.written import as_written
from mlops_assets.starter import write_project
from mlops_assets.templates import TEMPLATES
from mlops_assets_tests.project.rich_project import MODELS, SOURCES, write_rich_project
from mlops_assets_tests.project.small_project import SmallProject

GOLDEN = Path(__file__).parent / "golden"
PACKAGE = Path(__file__).parent.parent.parent / "mlops_assets"
MEANING = (
    "A definition that nobody changed has another hash than it had. In every home that there is, its tables count as "
    "another generation, its template as changed under its version, its candidates as never trained. If that is not "
    "meant, take the change back. If it is, it needs a step of `mlops-assets migrate`; then write the files anew with "
    "pytest --update-golden"
)


def identities(project: ProjectDefinition) -> dict[str, Any]:
    """What tells each definition of a project from others, and the text that it is hashed from."""
    return {
        "sources": {
            name: {"hash": one.definition_hash, "written": json.loads(canonical_json(one.written))}
            for name, one in project.sources.items()
        },
        "feature tables": {
            name: {"generation": one.generation, "parts": dict(one.parts)}
            for name, one in project.feature_tables.items()
        },
        "models": {
            name: {
                "generation": one.generation,
                "labels": one.label_generation,
                "parts": dict(one.parts),
                "trained by": definition_hash(one.trained_by),
                "written": json.loads(canonical_json(one.trained_by)),
            }
            for name, one in project.models.items()
        },
    }


def kept(request: pytest.FixtureRequest, name: str, found: Mapping[str, Any]) -> None:
    """See that hashes are those in a file; with --update-golden they are written there."""
    file = GOLDEN / f"{name}.json"
    if request.config.getoption("--update-golden"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(file.read_text(encoding="utf-8")), MEANING


def test_the_definitions_of_the_example_are_what_they_were(request: pytest.FixtureRequest) -> None:
    kept(request, "example", identities(load_project(PACKAGE / "defs")))


def test_the_definitions_of_the_starter_are_what_they_were(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    write_project(tmp_path / "shop")
    kept(request, "starter", identities(load_project(tmp_path / "shop/shop/defs")))


def test_the_definitions_of_a_rich_project_are_what_they_were(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    kept(request, "rich", identities(load_project(write_rich_project(tmp_path / "rich/rich/defs"))))


def test_the_recipes_of_the_library_are_what_they_were(request: pytest.FixtureRequest) -> None:
    kept(request, "library", {f"{one.name} v{one.version}": one.definition_hash for one in TEMPLATES})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdé"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abcdé"), VALUES), st.randoms(use_true_random=False))
def test_the_order_of_members_changes_no_hash(written: dict[str, Any], chance: random.Random) -> None:
    members = list(written.items())
    chance.shuffle(members)
    assert definition_hash(dict(members)) == definition_hash(written)


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_the_spelling_of_a_number_changes_no_hash(number: int) -> None:
    assert definition_hash({"alpha": float(number)}) == definition_hash({"alpha": number})


@given(VALUES, VALUES)
def test_another_value_is_another_hash(one: Any, other: Any) -> None:
    same = definition_hash({"value": one}) == definition_hash({"value": other})
    assert same == (text(one) == text(other))


def text(value: Any) -> str:
    """A value by its meaning in JSON, with whole floats as integers and nothing rounded."""
    if isinstance(value, dict):
        return json.dumps({name: text(one) for name, one in sorted(value.items())})
    if isinstance(value, list):
        return json.dumps([text(one) for one in value])
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return repr(int(value))
    return repr(value)


def test_a_hash_is_what_rfc_8785_and_sha_256_say() -> None:
    written = {"€": 1.0, "a": [True, None, "é\n", 1e21, 0.1], "": {}}
    assert canonical_json(written) == '{"":{},"a":[true,null,"é\\n",1e+21,0.1],"€":1}'.encode()
    assert definition_hash(written) == "92b185aaf6d7a86e3effdfe3b4a9c5dcf6e8ff37c91c0825757079c221ae3890"


MODEL, OTHER_MODEL = (document["attributes"] for document in yaml.safe_load_all(MODELS))
SOURCE = next(yaml.safe_load_all(SOURCES))["attributes"]


def model(**changed: Any) -> dict[str, Any]:
    return as_written(ModelAttributes.model_validate({**MODEL, **changed}))


def train(**changed: Any) -> dict[str, Any]:
    return model(train={**MODEL["train"], **changed})


@pytest.mark.parametrize(
    "written",
    [
        model(approval="automatic"),
        train(min_rows=1, threads=1),
        train(window="60 days", validation="168 hours"),
        train(early_stopping={"periods": "7 days", "patience": 5, "rounds": None}),
        model(description="Other words", owners=["team:other"], tags={"a": "b"}),
        model(monitor={"metric": "rmse", "drift": {"reference": "all", "false_alarms": 0.05}}),
        model(gates=[MODEL["gates"][0], {**MODEL["gates"][1], "by": 0.1}, *MODEL["gates"][2:]]),
    ],
)
def test_a_default_that_is_written_out_and_another_spelling_are_the_same_definition(written: dict[str, Any]) -> None:
    assert definition_hash(written) == definition_hash(model())


@pytest.mark.parametrize(
    "written",
    [
        train(validation="8 days"),
        train(window="expanding"),
        train(threads=2),
        model(baseline="shops.region"),
        model(evaluate={"segments": ["region"], "min_rows": 21}),
        model(gates=MODEL["gates"][1:]),
        model(gates=MODEL["gates"][::-1]),
        model(template={**MODEL["template"], "params": {"learning_rate": 0.06}}),
    ],
)
def test_another_value_is_another_definition(written: dict[str, Any]) -> None:
    assert definition_hash(written) != definition_hash(model())


def test_a_class_is_the_same_however_yaml_reads_it() -> None:
    def weighed(weights: dict[Any, float]) -> dict[str, Any]:
        train = {**OTHER_MODEL["train"], "class_weight": weights}
        return as_written(ModelAttributes.model_validate({**OTHER_MODEL, "train": train}))

    assert weighed({True: 3}) == weighed({"true": 3.0}) != weighed({"true": 4})


def test_what_people_read_of_a_source_is_no_part_of_its_definition() -> None:
    def source(**changed: Any) -> dict[str, Any]:
        return as_written(SourceAttributes.model_validate({**SOURCE, **changed}))

    columns = {**SOURCE["columns"], "units": {**SOURCE["columns"]["units"], "description": "Other words"}}
    assert source(columns=columns, publication_lag="7 days") == source()
    columns["units"] = {**columns["units"], "minimum": 1}
    assert source(columns=columns) != source()


def test_the_code_of_an_own_template_and_gate_and_the_text_of_a_query_are_part_of_the_definition(
    tmp_path: Path,
) -> None:
    defs = write_rich_project(tmp_path / "rich/rich/defs")
    before = load_project(defs)
    for file, old, new in (
        ("models/own.py", "C=strength", "C=1 / strength"),
        ("sources/visits.sql", "FROM counted", "FROM counted_again"),
    ):
        found = (defs / file).read_text(encoding="utf-8")
        (defs / file).write_text(found.replace(old, new), encoding="utf-8")
    after = load_project(defs)
    changed = [name for name in before.models if before.models[name].trained_by != after.models[name].trained_by]
    assert changed == ["growth", "rises"], "a module's functions change together"
    assert [name for name in before.sources if before.sources[name].written != after.sources[name].written] == [
        "visits"
    ]


def test_layout_and_order_in_the_yaml_change_no_definition(tmp_path: Path) -> None:
    small = SmallProject(tmp_path / "small/small/defs")
    before = identities(small.load())
    for file in small.folder.rglob("defs.yaml"):
        documents = [turned(document) for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
        file.write_text(yaml.safe_dump_all(documents, sort_keys=False, default_flow_style=True), encoding="utf-8")
    assert identities(small.load()) == before


def turned(value: Any) -> Any:
    """Mappings in the opposite order, all the way down."""
    if isinstance(value, dict):
        return {name: turned(one) for name, one in reversed(value.items())}
    return [turned(one) for one in value] if isinstance(value, list) else value
