"""What is decided about versions outside of Dagster's runs shows in Dagster, once, and what was cut short is ended."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.models.approving import _record, approve
from mlops_assets.models.promotion import rollback
from mlops_assets.models.records import candidates, champion_at, present_champion
from mlops_assets.models.retirement import retire
from mlops_assets_tests.automation.test_automation import NEXT_DAY, Shop, on_a_home_of_its_own, open_shop
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.models.registering import ANA, MACHINE, Decided

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    yield from open_shop(on_a_home_of_its_own(lived, tmp_path / "copy"), monkeypatch)


def decided(shop: Shop) -> Decided:
    """The shop's model, with its champion and a version that competes."""
    (model,) = shop.platform.project.models.values()
    made = Decided(shop.platform, candidates(shop.platform, model)[-1], model)
    made.version()
    return made


def events(shop: Shop, made: Decided) -> list[tuple[str, dict[str, Any]]]:
    """Kind and metadata of all events of the champion, in the order of time."""
    chosen = dg.AssetRecordsFilter(asset_key=dg.AssetKey([made.model.name, "champion"]))
    found = []
    for record in shop.instance.fetch_materializations(chosen, 100).records:
        assert record.asset_materialization
        found.append((record.storage_id, "materialization", record.asset_materialization.metadata))
    for record in shop.instance.fetch_observations(chosen, 100).records:
        assert record.event_log_entry.asset_observation
        found.append((record.storage_id, "observation", record.event_log_entry.asset_observation.metadata))
    found.sort(key=lambda item: item[0])
    return [(kind, {name: value.value for name, value in metadata.items()}) for _, kind, metadata in found]


def test_decisions_become_events_of_the_champion_once_and_those_of_runs_are_not_told_twice(shop: Shop) -> None:
    made = decided(shop)
    platform, model = made.platform, made.model
    before = events(shop, made)
    assert [kind for kind, _ in before] == ["materialization"]
    cursor = shop.tick("promotions").cursor
    assert events(shop, made) == before
    made.later()
    approve(platform, model, 2, ANA, "better by a tenth")
    made.later()
    rollback(platform, model, MACHINE, "wrong prices")
    made.later()
    retire(platform, model, 2, MACHINE, "never again")
    ticked = shop.tick("promotions", cursor)
    assert "version 2 was approved by ana@example.com" in ticked.skip_message
    new = events(shop, made)[len(before) :]
    assert [(kind, told["kind"], told["version"], told["by"], told["mlops/reason"]) for kind, told in new] == [
        ("observation", "approved", 2, "ana@example.com", "better by a tenth"),
        ("materialization", "promotion", 2, "ana@example.com", "better by a tenth"),
        ("materialization", "rollback", 1, "person at the machine", "wrong prices"),
        ("observation", "retirement", 2, "person at the machine", "never again"),
    ]
    assert new[1][1]["mlops/evidence"]["inputs"][0]["data_version"] == made.trained.model_hash
    for seen in (ticked.cursor, None):
        assert shop.tick("promotions", seen).skip_message == "nothing was decided"
    assert len(events(shop, made)) == len(before) + 4


def test_the_next_period_is_scored_by_what_was_decided_and_a_run_decides_nothing_against_it(shop: Shop) -> None:
    made = decided(shop)
    platform, model = made.platform, made.model
    job = shop.definitions.resolve_implicit_global_asset_job_def()
    key = dg.AssetKey([model.name, "champion"])

    def materialize() -> list[int]:
        done = job.execute_in_process(instance=shop.instance, asset_selection=[key])
        return [event.materialization.metadata["version"].value for event in done.get_asset_materialization_events()]  # type: ignore[misc]

    assert materialize() == [2]
    rollback(platform, model, MACHINE, "wrong prices")
    assert materialize() == []
    champion = present_champion(platform, model)
    assert champion is not None and (champion.version, champion.kind) == (1, "rollback")
    next_day = model.schema.calendar.at_key(NEXT_DAY)
    assert champion_at(platform, model, next_day) == champion
    assert shop.tick("promotions").skip_message == f"{model.name}: version 1: rollback by person at the machine"


def test_an_approval_whose_promotion_was_cut_short_is_carried_out_and_aliases_are_mended(shop: Shop) -> None:
    made = decided(shop)
    cursor = shop.tick("promotions").cursor
    waiting, champion = replace(made.model, approval="required"), present_champion(made.platform, made.model)
    _record(made.platform, waiting, 2, ANA, "better", "approved", champion)
    ticked = shop.tick("promotions", cursor)
    assert "version 2 was promoted, as ana@example.com had approved" in ticked.skip_message
    assert made.states == made.tags() == {1: "previous", 2: "champion"}
    assert made.aliases() == {"previous": 1, "champion": 2}
    assert [told["kind"] for _, told in events(shop, made)][1:] == ["approved", "promotion"]


def test_the_schedule_of_retention_deletes_what_never_served_and_is_old(
    lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = lived.copy(tmp_path / "copy")
    file = copy.project / "shop" / "defs" / "orders_forecast" / "defs.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "  retention: {candidates: 1 months}\n", encoding="utf-8")
    for shop in open_shop(copy, monkeypatch):
        made = decided(shop)
        made.version()
        made.later(days=40)
        job = shop.definitions.resolve_schedule_def("retention").job
        assert shop.definitions.resolve_job_def(job.name).execute_in_process(instance=shop.instance).success
        assert made.states == {1: "champion", 2: "deleted", 3: "challenger"}
        assert {int(one.version) for one in made.versions_shown()} == {1, 3}
