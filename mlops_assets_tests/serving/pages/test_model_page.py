"""The pages of a model and of all models, as texts, without a server."""

import json
from dataclasses import replace
from typing import Any

from mlops_assets.features.lineage import lineage_graph
from mlops_assets.governance.access import AT_THE_MACHINE, ROLES, Principal
from mlops_assets.lakehouse.masking import MASK
from mlops_assets.models.evaluation import Interval
from mlops_assets.models.version_changes import Corrected, LearnedFrom
from mlops_assets.monitoring.attribution import AttributionRecord
from mlops_assets.monitoring.incidents import Cause, IncidentEvent, events_due, incidents_of
from mlops_assets.monitoring.timeline import Timeline
from mlops_assets.monitoring.worst_rows import WorstRow
from mlops_assets.serving.pages.model import ModelContent, model_page
from mlops_assets.serving.pages.rendering import Frame, policy
from mlops_assets.serving.pages.search import model_address
from mlops_assets_tests.monitoring.timelines import NOW, day, drift, moved, performance, project, timeline, training
from mlops_assets_tests.serving.pages.reading import ReadPage

MARKUP = "<b onclick=alert(1)>\"'&amp;</b><script>alert(1)</script>"
SCIENTIST = Principal("scientist", ("data_scientist",), ROLES["data_scientist"])


def lived() -> Timeline:
    """Three periods, of which the second went wrong, and three trainings, of which the last was refused."""
    records = [performance(0, 1.0), performance(1, 2.5), performance(2, 1.0, version=2)]
    drifts = [drift(0), drift(1, beyond=["level"], segments=[moved("north")]), drift(2, version=2)]
    trained = [training(0, 1), training(4, 2, Interval(-0.1, -0.2, 0.05)), training(8, None, Interval(0.3, 0.1, 0.4))]
    return timeline(records, drifts, trained)


def content(made: Timeline, **changes: Any) -> ModelContent:
    graph = lineage_graph(project())
    learned = LearnedFrom("2024-01-05", day(3), NOW, 900, 800, 100, ("sales",), ())
    worst = WorstRow({"shop": "north-7", "day": NOW.date(), "growth": 4.25, "prediction": 1.5, "baseline": 0.5}, 0.31)
    given = ModelContent(
        timeline=made,
        policy="the cool-down is 3",
        learned={training.candidate.key: learned for training in made.trainings},
        freshness={"sales": "fresh", "trend": "late"},
        lineage=graph.around(graph.named("forecast.predictions"), up=True, down=False),
        worst={day(1): (worst,)},
    )
    return replace(given, **changes)


def read(made: ModelContent, principal: Principal = AT_THE_MACHINE, **frame: Any) -> ReadPage:
    return ReadPage(model_page(made, Frame(principal, **frame)))


def test_the_page_says_how_the_model_stands_and_what_the_policy_says() -> None:
    text = read(content(lived())).text
    assert "Too little history Version 2 serves since 2024-03-02" in text
    assert "The retrain policy: the cool-down is 3." in text


def test_a_period_tells_what_moved_what_it_did_to_the_error_and_which_training_looked_at_it() -> None:
    page = read(content(lived()))
    for told in (
        f"Predicted by version 1. Its labels came in {day(4)}: mae 2.5 on 100 rows, the baseline’s 2",
        f"Of the newest periods that were known at the training at {day(4)} (version 2, promoted) it was one.",
        "Drifted: level distance 8, beyond 4.",
        "shop north moved level mean 4.25 1.5 7",
        "north-7 4.25 1.5 31 %",
    ):
        assert told in page.text
    assert page.links[f"#training-{day(4)}.abc"][-1] == f"the training at {day(4)}"
    assert page.links[f"/models/forecast?period={day(1)}#period"]


def test_a_period_tells_its_skill_with_its_interval_and_its_worst_segments_of_which_some_moved() -> None:
    segments = [
        {"by": "shop", "segment": name, "rows": 4, "error": error, "baseline_error": 2.0, "share": 0.25}
        for name, error in (("south", 1.0), ("north", 7.0))
    ]
    made = lived()
    first, second, third = made.periods
    assert second.performance
    known = {
        "skill": 1.25,
        "skill_low": 1.1,
        "skill_high": 1.4,
        "never_retrained": 3.5,
        "segments": json.dumps(segments),
    }
    second = replace(second, performance=replace(second.performance, **known))  # type: ignore[arg-type]
    text = read(content(replace(made, periods=(first, second, third)))).text
    assert "Of the baseline’s error that is 125 % (110 % to 140 %). Never retrained it would have been 3.5." in text
    assert "shop north moved 7 2 4 25 % shop south 1 2 4 25 %" in text


def test_a_period_tells_what_its_predictions_were_made_of_the_greatest_share_first() -> None:
    found = json.dumps({"shares": {"crowd": 0.25, "level": 0.75}})
    made = lived()
    explained = tuple(
        replace(one, attribution=AttributionRecord(one.key, 1, 50, False, "as usual: no score is beyond 4", found))
        for one in made.periods
    )
    text = read(content(replace(made, periods=explained))).text
    assert "What its predictions were made of: as usual: no score is beyond 4 level 75 % crowd 25 %" in text


def test_the_table_of_all_periods_tells_what_the_drawing_does() -> None:
    text = read(content(lived())).text
    assert f"{day(2)} version 2 1 2 1 100 as usual" in text
    assert f"{day(1)} version 1 2.5 worse than the baseline 2 1 100 drifted; moved: shop north" in text


def test_every_training_is_told_with_its_difference_to_the_champion_and_how_clear_that_is() -> None:
    page = read(content(lived()), mlflow="http://mlflow.example/")
    assert "-0.1 (-0.2 to 0.05) not distinguishable" in page.text
    assert f"{day(8)} its error grew asked for by the policy, after" in page.text
    assert "refused mae 1 is below 2 0.3 (0.1 to 0.4) worse" in page.text
    assert page.links[f"http://127.0.0.1:3000/assets/forecast/candidate?partition={day(8)}"]
    assert page.links["http://mlflow.example/#/runs/run-8"]


def test_a_version_says_who_decided_by_which_rule_on_what_data_and_what_was_corrected_since() -> None:
    corrected = (Corrected("sales", 12, (day(0), day(2)), NOW),)
    learned = LearnedFrom("2024-01-05", day(3), NOW, 900, 800, 100, ("sales",), corrected)
    made = lived()
    page = read(content(made, learned={one.candidate.key: learned for one in made.trainings}))
    for told in (
        "by the gates: it passed",
        "Declared in forecast/defs.yaml, line",
        f"900 rows about 2024-01-05 to {day(3)}, with labels as known at 2024-03-02 06:00 UTC",
        f"sales: 12 states of {day(0)} to {day(2)} (2 periods), the newest known at 2024-03-02 06:00 UTC",
        "mlops-assets corrections sales --since 2024-03-02",
        "Definitions, template, parameters and environment are the same.",
        f"{day(0)} to {day(1)} (2 periods), mae 1.75, the baseline 2 on the same rows.",
    ):
        assert told in page.text
    assert page.links["/features/sales"]


def test_a_model_of_which_nothing_is_known_says_so() -> None:
    text = read(content(timeline(), worst={}, policy="")).text
    for told in (
        "No version yet",
        "No prediction has a label yet",
        "No drift was measured",
        "Nothing was trained",
        "No candidate became",
    ):
        assert told in text


def test_values_about_persons_are_masked_unless_the_scope_is_there() -> None:
    made = lived()
    columns = tuple(
        replace(one, sensitivity="personal") if one.name == "shop" else one for one in made.model.schema.columns
    )
    features = tuple(
        replace(one, sensitivity="personal") if one.name == "level" else one for one in made.model.features
    )
    personal = replace(made.model, schema=replace(made.model.schema, columns=columns), features=features)
    given = content(replace(made, model=personal))
    masked, seen = (model_page(given, Frame(reader)) for reader in (AT_THE_MACHINE, SCIENTIST))
    assert "north" not in masked
    assert MASK in masked
    assert "are about persons, and masked here" in masked
    assert "north-7" in seen and "shop north" in seen
    by_shop = content(replace(made, model=replace(personal, schema=made.model.schema)))
    text = ReadPage(model_page(by_shop, Frame(AT_THE_MACHINE))).text
    assert f"shop north moved level mean {MASK} masked {MASK} masked 7" in text


def test_texts_full_of_markup_stay_text() -> None:
    made = lived()
    first, *others = made.trainings
    record = replace(
        first.candidate, reason=MARKUP, verdict=MARKUP, requested_by=MARKUP, run_id=MARKUP, template=MARKUP
    )
    odd = moved(MARKUP, column=MARKUP)
    periods = tuple(replace(one, drift=drift(1, beyond=[MARKUP], segments=[odd])) for one in made.periods[1:2])
    documentation = replace(made.model.documentation, description=MARKUP, owners=(MARKUP,))
    changed = replace(
        made,
        model=replace(made.model, documentation=documentation),
        trainings=(
            replace(
                first,
                candidate=record,
                transitions=tuple(replace(one, reason=MARKUP, by=MARKUP) for one in first.transitions),
            ),
            *others,
        ),
        periods=periods,
    )
    worst = {day(1): (WorstRow({"shop": MARKUP, "growth": MARKUP, "prediction": MARKUP}, 0.5),)}
    page = read(content(changed, policy=MARKUP, worst=worst))
    assert page.tags.count("script") == 0
    assert "b" not in page.tags
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert page.text.count(MARKUP) > 12


def test_a_page_in_a_file_leads_nowhere_but_to_places_on_it_and_to_user_interfaces() -> None:
    page = read(content(lived()), served=False)
    outside = [link for link in page.links if not link.startswith("#")]
    assert outside and all(link.startswith("http://127.0.0.1:3000/assets/forecast/") for link in outside)
    assert f"#period-{day(1)}" in page.links
    assert f"#period-{day(0)}" not in page.links  # which this file does not tell of
    assert ("id", f"period-{day(1)}") in page.attributes
    assert ("content", policy()) in page.attributes
    assert "form" not in page.tags


def test_an_address_says_its_model_and_period() -> None:
    assert model_address("a/b", "2024-02") == "/models/a%2Fb?period=2024-02#period"


def test_incidents_are_told_with_their_story_and_lead_to_the_former_one() -> None:
    off = Cause("drift", "forecast", "", "drifted: level")
    events: list[IncidentEvent] = []
    for causes in ([off], [], [off]):
        events += events_due(causes, events, NOW, live=False)
    page = read(content(lived(), incidents=tuple(incidents_of(events))))
    assert "2 open forecast: drift off before: incident 1" in page.text
    assert "closed by the platform: over; it was: drifted: level" in page.text
    assert page.links["#incident-1"] == ["incident 1"]
    assert "Nothing was off." in read(content(lived())).text
