"""Gates as they are written: each form, and how a mistake in one is reported."""

import re
from pathlib import Path

import pytest

from mlops_assets.operations.check import strict_gates
from mlops_assets.project.gates import (
    ComparisonGate,
    CustomGate,
    LatencyGate,
    LimitGate,
    ProtectionGate,
    SegmentGate,
    SizeGate,
)
from mlops_assets.project.model_attributes import EvaluationChoice, ModelAttributes
from mlops_assets_tests.project.small_project import SmallProject

FILE = "forecast/defs.yaml"
GATES = "[{metric: mae, better_than: baseline}, {metric: rmse, better_than: champion, by: 0.1}]"


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path / "shop" / "defs")


def with_gates(project: SmallProject, *gates: str) -> SmallProject:
    """The project with these gates, each on a line of its own."""
    project.change(FILE, GATES, "".join(f"\n    - {gate}" for gate in gates))
    return project


def test_every_form_of_a_gate(project: SmallProject) -> None:
    project.write("forecast/rules.py", "def fair(figures, rows):\n    return True, 'fine'\n")
    gates = (
        with_gates(
            project,
            "{metric: mae, better_than: champion, by: 2.5%}",
            "{metric: rmse, not_worse_than: champion, by: 2%}",
            "{metric: mae, at_most: 0.12}",
            "{metric: r2, at_least: 0.1}",
            "{metric: bias, at_most: 0.01}",
            "{metric: mae, not_worse_than: champion, by: 10 %, segments: [region, shop], min_rows: 20}",
            "{model_size_at_most: 1.5 MB}",
            "{latency_at_most: 5 ms}",
            "{python: rules:fair, name: is_fair}",
        )
        .load()
        .models["forecast"]
        .gates
    )
    own = gates[-1]
    assert isinstance(own, CustomGate)
    assert gates[:-1] == (
        ComparisonGate("mae", "champion", 0.025),
        ProtectionGate("rmse", "champion", 0.02),
        LimitGate("mae", 0.12),
        LimitGate("r2", at_least=0.1),
        LimitGate("bias", 0.01),
        SegmentGate("mae", "champion", 0.1, ("region", "shop"), 20),
        SizeGate(1_500_000),
        LatencyGate(0.005),
    )
    assert (own.function.given, own.definition_hash) == (("figures", "rows"), own.function.definition_hash)
    assert {gate.name: gate.description for gate in gates} == {
        "mae_better_than_champion": "mae is below the champion's by 2.5% on the same rows.",
        "rmse_not_worse_than_champion": (
            "rmse is not worse than the champion's by more than 2% on the same rows, nor than that of the best before."
        ),
        "mae_at_most": "mae is at most 0.12.",
        "r2_at_least": "r2 is at least 0.1.",
        "bias_at_most": "bias, as a distance from 0, is at most 0.01.",
        "mae_by_region_and_shop_not_worse_than_champion": (
            "mae is in no segment by region, shop worse than the champion's by more than 10%; segments of 20 rows and "
            "more count."
        ),
        "model_size": "The model's file has at most 1.5 MB.",
        "latency": "Predicting one row takes at most 5 ms, the median of several tries.",
        "is_fair": "The function fair of the project says so.",
    }


@pytest.mark.parametrize(("written", "taken"), [("2%", True), ("2.5 %", True), ("0.02", False), ("two", False)])
def test_editors_and_dg_take_a_share_as_it_is_written(written: str, taken: bool) -> None:
    by = ModelAttributes.model_json_schema()["$defs"]["ProtectionGate"]["properties"]["by"]
    number, percentage = by["anyOf"]
    assert number == {"type": "number"}
    assert percentage["type"] == "string" and bool(re.search(percentage["pattern"], written)) is taken


def test_another_function_is_another_gate_and_where_it_lies_is_not(project: SmallProject, tmp_path: Path) -> None:
    def gates_of(project: SmallProject, text: str) -> str:
        project.write("forecast/rules.py", text)
        return repr(project.load().models["forecast"].gates)

    first = gates_of(with_gates(project, "{python: rules:fair}"), "def fair():\n    return True, ''\n")
    assert gates_of(project, "def fair():\n    return False, ''\n") != first
    elsewhere = with_gates(SmallProject(tmp_path / "elsewhere" / "defs"), "{python: rules:fair}")
    assert gates_of(elsewhere, "def fair():  # as before\n    return True, ''\n") == first


@pytest.mark.parametrize(
    ("gate", "text", "found", "expected", "cure"),
    [
        (
            "{metric: maee, better_than: baseline}",
            "maee",
            "metric 'maee' of a regression model",
            "one of: mae, rmse, median_absolute_error, r2",
            "write 'mae'",
        ),
        (
            "{metric: bias, better_than: baseline}",
            "metric: bias",
            "metric 'bias' of a regression model",
            "one of: mae, rmse, median_absolute_error, r2",
            "choose one of them",
        ),
        (
            "{metric: mae, at_least: 0.1}",
            "at_least",
            "at_least of mae, of which less is better",
            "at_most",
            "write at_most, and no at_least",
        ),
        (
            "{metric: r2, at_least: 0.1, at_most: 0.9}",
            "at_most: 0.9",
            "at_most of r2, of which more is better",
            "at_least",
            "write at_least, and no at_most",
        ),
        (
            "{metric: bias, at_most: -0.1}",
            "at_most: -0.1",
            "a limit of -0.1 for the bias, which is judged by its distance from 0",
            "a number from 0 up",
            "write the greatest distance that is allowed",
        ),
        (
            "{metric: mae, not_worse_than: champion, by: 10%, segments: [regoin]}",
            "regoin",
            "segments by 'regoin', which judged rows do not have",
            "one of: shop, day, level, crowd, region",
            "write 'region'",
        ),
        (
            "{model_size_at_most: 20 megabytes}",
            "20 megabytes",
            "'20 megabytes'",
            "a number greater than 0 and one of: KB, MB, GB",
            "write it as 20 MB",
        ),
        ("{latency_at_most: 0 ms}", "0 ms", "'0 ms'", "a number greater than 0 and one of: ms, s", "write it as 5 ms"),
        (
            "{python: rules}",
            "python: rules",
            "'rules'",
            "MODULE:FUNCTION",
            "write, say, 'weekly:features' for weekly.py",
        ),
        (
            "{metric: mae, better_than: champion, margn: 0.1}",
            "margn",
            "unknown field 'gates.1.margn'",
            "fields that Model has",
            "correct the name, or take the field out",
        ),
        (
            "{metric: mae, not_worse_than: champion}",
            "not_worse_than: champion",
            "missing field 'gates.1.by'",
            "'gates.1.by' in every Model",
            "add it",
        ),
        (
            "{metric: mae, not_worse_than: champion, by: 0%}",
            "by: 0%",
            "wrong value in 'gates.1.by'",
            "Input should be greater than 0",
            "correct the value",
        ),
        (
            "{metric: mae, better_than: champion, margin: 5%}",
            "margin",
            "'gates.1.margin'",
            "'by', as it is called now",
            "rename it",
        ),
        (
            "{metric: mae, not_worse_than: champion, by: 5%, worse_by_at_most: 5%, segments: [region]}",
            "worse_by_at_most",
            "'gates.1.worse_by_at_most'",
            "'by', as it is called now",
            "rename it",
        ),
        (
            "{metric: mae, by: [region, shop], better_than: champion, worse_by_at_most: 10%}",
            "by: [region, shop]",
            "by: [region, shop]",
            "a share, such as 10%; columns stand in segments",
            "write, say, not_worse_than: champion, by: 10%, segments: [region, shop]",
        ),
    ],
)
def test_a_mistake_in_a_gate_is_reported_with_its_line(
    project: SmallProject, gate: str, text: str, found: str, expected: str, cure: str
) -> None:
    error = with_gates(project, "{metric: rmse, better_than: baseline}", gate).refusal()
    assert (error.found, error.expected, error.cure) == (found, expected, cure)
    assert error.where is not None
    assert (error.where.file, error.where.line) == (project.folder / FILE, project.line(FILE, text))


def test_check_warns_of_a_gate_that_refuses_what_is_as_good_as_the_champion(project: SmallProject) -> None:
    gates = "{metric: mae, better_than: champion}", "{metric: rmse, better_than: champion, by: 5%}"
    line = with_gates(project, *gates, "{metric: mae, better_than: baseline}").line(FILE, gates[0])
    assert strict_gates(project.load().models["forecast"]) == [
        f"{project.folder / FILE}:{line}: mae_better_than_champion refuses what is as good as the champion, "
        "fresher fits among it; to stop harm alone write {metric: mae, not_worse_than: champion, by: 2%}."
    ]


def test_a_function_that_wants_what_gates_are_not_given(project: SmallProject) -> None:
    project.write("forecast/rules.py", "\ndef fair(figures, weather):\n    return True, ''\n")
    error = with_gates(project, "{python: rules:fair}").refusal()
    assert error.found == "custom gate 'fair' with the parameter weather"
    assert error.expected == "figures, rows, truth, scores as far as they are wanted, and parameters with defaults"
    assert error.where is not None and error.where.line == 2


@pytest.mark.parametrize(
    ("gates", "name", "cure"),
    [
        (
            ["{metric: mae, better_than: baseline}", "{metric: mae, better_than: baseline, by: 0.1}"],
            "mae_better_than_baseline",
            "take one of them out",
        ),
        (["{python: rules:enough_rows}"], "enough_rows", "give it another name"),
    ],
)
def test_two_gates_of_one_name(project: SmallProject, gates: list[str], name: str, cure: str) -> None:
    project.write("forecast/rules.py", "def enough_rows():\n    return True, ''\n")
    error = with_gates(project, *gates).refusal()
    assert (error.found, error.cure) == (f"a second gate named '{name}'", cure)


def test_what_the_report_tells_by_segment(project: SmallProject) -> None:
    assert project.load().models["forecast"].evaluation == EvaluationChoice()
    project.change(FILE, "  gates:", "  evaluate: {segments: [region, day, level], min_rows: 9, draws: 200}\n  gates:")
    assert project.load().models["forecast"].evaluation == EvaluationChoice(("region", "day", "level"), 9, 200)
    project.change(FILE, "[region, day, level]", "[growth]")
    error = project.refusal()
    assert error.found == "segments by 'growth', which judged rows do not have"
    assert error.where is not None and error.where.line == project.line(FILE, "evaluate:")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("  evaluate: {segments: [region]}\n  gates:", "evaluate:"),
        ("  gates:\n    - {metric: mae, not_worse_than: baseline, by: 5%, segments: [region]}", "segments: [region]"),
    ],
)
def test_nothing_is_told_by_segments_of_a_personal_column(project: SmallProject, line: str, text: str) -> None:
    project.change("sales/defs.yaml", "description: Its region", "sensitivity: personal, description: Its region")
    with_gates(project, "{metric: mae, better_than: baseline}").change(FILE, "  gates:", line)
    error = project.refusal()
    assert error.found == "segments by 'region', which is personal"
    assert error.expected == "columns whose values may stand in reports and verdicts"
    assert error.where is not None and error.where.line == project.line(FILE, text)
