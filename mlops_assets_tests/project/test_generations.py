"""What makes a generation: what a table computes, and nothing of how its definition is written down."""

import random
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets_tests.project.small_project import FILES, SmallProject

WORDS = "select|as|from|join|using|on|and|where|interval"
SPACES = (" ", "\n", "\t  ", " -- a remark\n", " /* a remark */ ", "\n\n")


def generations_of(project: SmallProject) -> dict[str, str]:
    loaded = project.load()
    (model,) = loaded.models.values()
    return {
        "trend": loaded.feature_tables["trend"].generation,
        "model": model.generation,
        "labels": model.label_generation,
    }


def rewrite_sql(text: str, rng: random.Random) -> str:
    """The same query with other spaces and remarks, and keywords in another case."""
    text = re.sub(r"(?<=[(,+/=>])|(?=[),+/=>])", lambda _: rng.choice(("", " ", "\n")), text)
    text = re.sub(r"[ \n]+", lambda _: rng.choice(SPACES), text.strip())
    cases = (str.upper, str.lower, str.capitalize)
    return re.sub(rf"\b({WORDS})\b", lambda word: rng.choice(cases)(word[0]), text, flags=re.IGNORECASE)


def rewrite_value(value: Any, rng: random.Random) -> Any:
    """The same value with its fields in another order and its prose in other words."""
    if not isinstance(value, dict):
        return [rewrite_value(item, rng) for item in value] if isinstance(value, list) else value
    prose = {"description": "Other words"}
    fields = [(name, prose.get(name) or rewrite_value(inner, rng)) for name, inner in value.items()]
    rng.shuffle(fields)
    kept: dict[str, Any] = dict(fields)
    if "primary_keys" in kept:
        kept |= {"owners": [f"team:{rng.choice('abc')}"], "tags": {"domain": rng.choice("xyz")}}
    return kept


def rewrite_yaml(text: str, rng: random.Random) -> str:
    documents = [rewrite_value(document, rng) for document in yaml.safe_load_all(text)]
    flow = rng.choice((None, True, False))
    return yaml.safe_dump_all(documents, sort_keys=False, default_flow_style=flow, width=rng.choice((40, 4000)))


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_no_way_of_writing_the_same_makes_a_generation(seed: int) -> None:
    rng = random.Random(seed)
    with TemporaryDirectory() as folder:
        project = SmallProject(Path(folder))
        before = generations_of(project)
        for name, text in FILES.items():
            project.write(name, rewrite_sql(text, rng) if name.endswith(".sql") else rewrite_yaml(text, rng))
        assert generations_of(project) == before


def test_the_order_of_features_is_a_choice_of_the_model(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    before = generations_of(project)
    project.change("forecast/defs.yaml", "[level, crowd]", "[crowd, level]")
    after = generations_of(project)
    assert after["model"] != before["model"]
    assert (after["trend"], after["labels"]) == (before["trend"], before["labels"])


def test_a_table_s_generation_is_no_part_of_a_model_s_and_is_of_its_labels(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    before = generations_of(project)
    project.change("trend/trend.sql", "units + 1", "units + 2")
    after = generations_of(project)
    assert {name for name in before if before[name] != after[name]} == {"trend"}
    project.change("forecast/growth.sql", "FROM sales AS now", "FROM sales AS now JOIN trend USING (shop, day)")
    joined = generations_of(project)
    project.change("trend/trend.sql", "units + 2", "units + 3")  # the level, of which the label reads nothing
    again = generations_of(project)
    assert {name for name in before if joined[name] != again[name]} == {"trend"}
    project.change(
        "forecast/growth.sql", "USING (shop, day)", "USING (shop, day) JOIN trend AS t ON t.level > now.units"
    )
    reading = generations_of(project)
    project.change("trend/trend.sql", "units + 3", "units + 4")
    last = generations_of(project)
    assert {name for name in before if reading[name] != last[name]} == {"trend", "labels"}
