"""Incidents: opened once for a cause, kept up, closed once it is gone, whoever looks how often."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.automation.incidents import incident_sensor
from mlops_assets.cli import main
from mlops_assets.errors import ContractError, MissingDataError
from mlops_assets.governance.access import AT_THE_MACHINE
from mlops_assets.lakehouse.records import write_new_record, write_record
from mlops_assets.models.records import TransitionRecord
from mlops_assets.monitoring import incidents as module
from mlops_assets.monitoring.drift import DriftRecord
from mlops_assets.monitoring.incidents import (
    Cause,
    IncidentEvent,
    causes_of_model,
    decide_incident,
    events_due,
    incident_events,
    incident_numbered,
    incidents_of,
    record_what_is_off,
)
from mlops_assets.monitoring.performance import PerformanceRecord
from mlops_assets_tests.serving.predicting import as_project
from mlops_assets_tests.small_line import Line

NOW = datetime(2024, 1, 20, tzinfo=UTC)
DRIFT = Cause("drift", "forecast", "", "2024-01-19 drifted: level distance 9.1")
LATE = Cause("overdue", "visits", "", "2024-01-19: due 2024-01-20")
PERFORMANCE = PerformanceRecord("2024-01-17", "2024-01-14", 1, 14, 0.2, 0.1, 0.1, "{}")


@pytest.fixture
def line(tmp_path: Path) -> Line:
    made = Line(tmp_path / "line")
    made.platform.home.clock.set(NOW)
    return made


def after(line: Line, *causes: Cause, hours: float = 0) -> list[IncidentEvent]:
    """What happens when somebody looks so many hours later and this is off."""
    clock = line.platform.home.clock
    clock.set(clock.now() + timedelta(hours=hours))
    return record_what_is_off(line.platform, causes)


looks = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["one", "other"]), max_size=3), min_size=1, max_size=12
)


@given(looks, st.integers(1, 3))
def test_an_incident_is_open_exactly_while_its_cause_is_there_however_often_somebody_looks(
    seen: Sequence[dict[str, str]], times: int
) -> None:
    events: list[IncidentEvent] = []
    for number, off in enumerate(seen):
        causes = [Cause("drift", subject, "", words) for subject, words in off.items()]
        for _ in range(times):
            events += events_due(causes, events, NOW + timedelta(days=number), live=False)
        still = [one for one in incidents_of(events) if one.closed_at is None]
        assert {one.subject: one.words for one in still} == off
        assert len(still) == len(off), "never two of one cause"
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    for incident in incidents_of(events):
        earlier = [one for one in incidents_of(events) if one.key == incident.key and one.number < incident.number]
        assert incident.former == (earlier[-1].number if earlier else None)
        assert all(one.closed_at and one.closed_at <= incident.opened_at for one in earlier)


def test_an_incident_opens_once_is_updated_with_what_is_found_and_closes_with_its_cause(line: Line) -> None:
    assert [event.event for event in after(line, DRIFT, LATE)] == ["opened", "opened"]
    assert after(line, DRIFT, LATE, hours=1) == []
    further = replace(DRIFT, words="2024-01-20 drifted: level distance 11")
    assert [(event.incident, event.event) for event in after(line, further, hours=1)] == [(1, "updated"), (2, "closed")]
    first, second = incidents_of(incident_events(line.platform))
    assert (first.words, first.state(NOW)) == ("2024-01-20 drifted: level distance 11", "open")
    assert second.words == "over; it was: 2024-01-19: due 2024-01-20"
    assert second.closed_at == NOW + timedelta(hours=2)
    assert [event.incident for event in after(line, further, LATE, hours=1)] == [3]
    assert incident_numbered(incident_events(line.platform), 3).former == 2


def test_who_is_slower_looks_again_at_what_is_kept(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    read, others = incident_events, [DRIFT]

    def read_before_others_write(platform: object) -> list[IncidentEvent]:
        events = read(line.platform)
        if others:
            for event in events_due([others.pop()], events, NOW, live=False):
                write_new_record(line.platform.incidents, event)
        return events

    monkeypatch.setattr(module, "incident_events", read_before_others_write)
    assert [(event.number, event.subject) for event in after(line, DRIFT, LATE)] == [(2, "visits")]
    assert [event.number for event in read(line.platform)] == [1, 2]


def test_a_person_acknowledges_and_snoozes_with_a_reason_and_is_told_again_after_it(line: Line) -> None:
    after(line, DRIFT)
    assert decide_incident(line.platform, 1, AT_THE_MACHINE, "looking").state(NOW) == (
        "acknowledged by person at the machine"
    )
    until = NOW + timedelta(hours=5)
    assert decide_incident(line.platform, 1, AT_THE_MACHINE, "known", until).state(NOW) == (
        "snoozed until 2024-01-20 05:00"
    )
    assert after(line, DRIFT, hours=4) == []
    assert [event.event for event in after(line, DRIFT, hours=1)] == ["resumed"]
    assert after(line, DRIFT, hours=1) == []
    assert [event.by for event in incident_events(line.platform)] == [
        "the platform", "person at the machine", "person at the machine", "the platform"
    ]  # fmt: skip


def test_what_cannot_be_decided_is_refused_in_words(line: Line) -> None:
    with pytest.raises(MissingDataError, match="Found: no incident 7"):
        decide_incident(line.platform, 7, AT_THE_MACHINE, "looking")
    after(line, DRIFT)
    with pytest.raises(ContractError, match="a snooze until 2024-01-19T00:00:00\\+00:00, which has passed"):
        decide_incident(line.platform, 1, AT_THE_MACHINE, "known", NOW - timedelta(days=1))
    after(line)
    with pytest.raises(ContractError, match="incident 1, which was over at 2024-01-20T00:00:00"):
        decide_incident(line.platform, 1, AT_THE_MACHINE, "looking")


def drifted(period: str, alarm: bool, *segments: str) -> DriftRecord:
    figure = {"column": "level", "statistic": "mean", "value": 2.0, "usual": 1.0, "score": 5.0, "rows": 9}
    found = {"segments": [{"by": "region", "segment": name, **figure} for name in segments]}
    return DriftRecord(period, 1, 14, alarm, bool(segments), "drifted: level", "", json.dumps(found))


def serve_a_version(line: Line) -> None:
    made = TransitionRecord(1, 1, "promotion", NOW, "a test", "to see it serve")
    write_new_record(line.platform.records(line.model, "transition"), made)


def test_drift_and_each_segment_of_the_newest_period_are_causes_and_earlier_ones_are_over(line: Line) -> None:
    drift = line.platform.records(line.model, "drift")
    write_record(drift, drifted("2024-01-18", True, "north", "south"))
    assert [cause.key for cause in causes_of_model(line.platform, line.model)] == [
        ("drift", "forecast", ""), ("moved", "forecast", "region north"), ("moved", "forecast", "region south")
    ]  # fmt: skip
    write_record(drift, drifted("2024-01-19", False, "south"))
    assert list(causes_of_model(line.platform, line.model)) == [
        Cause("moved", "forecast", "region south", "2024-01-19 level mean 2, usually 1")
    ]


def test_a_champion_that_is_worse_than_the_baseline_over_persistent_periods_is_a_cause(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "candidate_of_version", lambda *given: replace_trained(NOW))
    serve_a_version(line)
    table = line.platform.records(line.model, "performance")
    for key, about in (("2024-01-15", "2024-01-12"), ("2024-01-16", "2024-01-13")):
        write_record(table, replace(PERFORMANCE, period=key, about=about))
    assert list(causes_of_model(line.platform, line.model)) == []
    write_record(table, PERFORMANCE)
    (cause,) = causes_of_model(line.platform, line.model)
    assert cause.kind == "worse than the baseline"
    assert cause.words == "version 1 errs by 0.2 over its newest 3 periods, the baseline by 0.1 on the same rows"
    write_record(table, replace(PERFORMANCE, period="2024-01-18", about="2024-01-15", version=2))
    assert list(causes_of_model(line.platform, line.model)) == [], "of a version that serves no more"


def test_a_champion_that_is_beyond_its_level_is_a_cause_also_where_it_beats_the_baseline(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "candidate_of_version", lambda *given: replace_trained(NOW))
    serve_a_version(line)
    calendar, table = line.model.schema.calendar, line.platform.records(line.model, "performance")
    first = calendar.at_key("2024-02-01")
    for day in range(40):
        at, about = calendar.shift(first, day), calendar.shift(first, day - 3)
        error = 0.09 if day > 36 else 0.05 + 0.001 * (day % 5)
        write_record(table, replace(PERFORMANCE, period=at.key, about=about.key, error=error))
        found = list(causes_of_model(line.platform, line.model)) if day > 33 else []
        assert [cause.kind for cause in found] == ["beyond its level"] * (day > 37), at
    assert found[0].words.startswith(
        "version 1 errs by 0.9 of the baseline over its newest 3 periods; 0.52 is expected"
    )


def replace_trained(moment: datetime) -> object:
    return type("Trained", (), {"trained_at": moment, "passed": False, "at": "2024-01-19", "verdict": "refused"})()


def test_trainings_that_are_refused_again_and_again_are_a_cause(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = [replace_trained(NOW)]
    monkeypatch.setattr(module, "candidates", lambda *given: trained)
    assert list(causes_of_model(line.platform, line.model)) == []
    trained.append(replace_trained(NOW))
    assert [cause.words for cause in causes_of_model(line.platform, line.model)] == [
        "2 trainings in a row were refused, the last at 2024-01-19: refused"
    ]


def test_the_sensor_keeps_what_is_off_and_the_commands_tell_and_decide(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(line.folder / "home"))
    drift = line.platform.records(line.model, "drift")
    write_record(drift, drifted("2024-01-18", False))
    sensor = incident_sensor(line.platform.project)
    loaded = dg.Definitions([dg.AssetSpec(["forecast", "performance"])], sensors=[sensor])
    with dg.DagsterInstance.ephemeral() as instance:

        def looked() -> str | None:
            return sensor.evaluate_tick(dg.build_sensor_context(instance=instance, definitions=loaded)).skip_message

        # One sensor, as in a daemon that runs on: it sees what is recorded of a model after its first look.
        assert looked() == "1 open: visits: overdue"
        write_record(drift, drifted("2024-01-19", True))
        assert [looked(), looked()] == ["2 open: visits: overdue; forecast: drift"] * 2
    project = str(as_project(line))

    def said(*words: str) -> str:
        return CliRunner().invoke(main, ["--project", project, "incidents", *words]).output

    number = 2
    assert said("list").splitlines() == [
        "1 open since 2024-01-20 00:00, visits: overdue: 2024-01-05: due 2024-01-08; for it wait: trend, forecast; and "
        "9 later periods",
        "2 open since 2024-01-20 00:00, forecast: drift: 2024-01-19 drifted: level",
    ]
    done = said("acknowledge", str(number), "--reason", "looking into it")
    assert done.startswith(f"{number} acknowledged by person at the machine since")
    assert "acknowledged by person at the machine: looking into it" in said("show", str(number))
    until = ["--until", "2024-02-01", "--reason", "known"]
    assert "snoozed until 2024-02-01 00:00" in said("snooze", str(number), *until)
    assert "Found: no incident 99" in said("show", "99")
