"""The assets of a challenger: there where a version waits for approval, carried on by the champion's predictions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import dagster as dg
import pytest

from mlops_assets.components import model_attribution, model_scoring, model_shadow
from mlops_assets.components.model_scoring import NOT_WORSE
from mlops_assets.models.records import candidates, comparisons
from mlops_assets_tests.automation.test_automation import NEXT_DAY, Shop, arrive, materialize, open_shop, requested
from mlops_assets_tests.components.test_chain import metadata_of
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.models.registering import Decided

pytestmark = pytest.mark.slow
MODEL = "orders_forecast"
SCORED, COMPARED = f"{MODEL}/challenger_predictions", f"{MODEL}/challenger_comparison"
ASIDE = {f"{MODEL}/performance", f"{MODEL}/drift_report", f"{MODEL}/attribution", "order_trend/order_trend_online"}
"""What a challenger does not rest on, and takes its time."""
BEFORE = "2024-01-27"


@dataclass
class Waiting:
    """A shop whose model requires approval and has a version that waits."""

    shop: Shop
    made: Decided


@pytest.fixture
def waiting(lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    copy = lived.copy(tmp_path / "copy")
    file = copy.project / "shop" / "defs" / MODEL / "defs.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "  approval: required\n", encoding="utf-8")
    for shop in open_shop(copy, monkeypatch):
        (model,) = shop.platform.project.models.values()
        made = Decided(shop.platform, candidates(shop.platform, model)[-1], model)
        now = shop.platform.clock.now()
        shop.platform.home.clock.set(datetime(2024, 1, 27, 12, tzinfo=UTC))  # before the as_of of BEFORE
        made.version()
        shop.platform.home.clock.set(now)
        yield Waiting(shop, made)


@pytest.mark.parametrize(
    ("module", "function", "asset", "check", "words"),
    [
        (model_shadow, "compare_challenger", COMPARED, "challenger_not_worse", "that both predicted has a label"),
        (model_scoring, "measure_performance", f"{MODEL}/performance", NOT_WORSE, "No prediction about"),
        (model_scoring, "measure_drift", f"{MODEL}/drift_report", "no_drift", "nothing was scored in 2024-01-27"),
        (
            model_attribution,
            "measure_attribution",
            f"{MODEL}/attribution",
            "no_attribution_drift",
            "nothing was scored in 2024-01-27",
        ),
    ],
)
def test_a_check_is_told_also_where_there_is_nothing_to_compare(
    waiting: Waiting,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    function: str,
    asset: str,
    check: str,
    words: str,
) -> None:
    monkeypatch.setattr(module, function, lambda *given: None)
    done = materialize(waiting.shop, BEFORE, asset)
    assert done.success
    key = dg.AssetCheckKey(dg.AssetKey.from_user_string(asset), check)
    (told,) = [found for found in done.get_asset_check_evaluations() if found.asset_check_key == key]
    assert told.passed
    assert words in str(told.description)
    assert not done.asset_materializations_for_node(asset.replace("/", "__"))


def test_a_challenger_s_predictions_and_comparison_follow_the_champion_s_in_one_tick(waiting: Waiting) -> None:
    shop, model = waiting.shop, waiting.made.model
    assert waiting.made.states == {1: "champion", 2: "challenger"}
    assert materialize(shop, BEFORE, SCORED).success
    _, cursor = requested(shop, None)
    (request,) = arrive(shop).run_requests
    assert shop.run(request).success
    found, cursor = requested(shop, cursor)
    assert found[SCORED] == found[COMPARED] == found[f"{MODEL}/predictions"] == [NEXT_DAY]
    assert materialize(shop, NEXT_DAY, *(found.keys() - ASIDE)).success
    assert not requested(shop, cursor)[0].keys() & {SCORED, COMPARED}

    scored = metadata_of(shop.instance, dg.AssetKey.from_user_string(SCORED), NEXT_DAY)
    assert (scored.metadata["version"].value, scored.metadata["champion"].value) == (2, 1)
    read = [item["name"] for item in scored.metadata["mlops/evidence"].value["inputs"]]
    assert read == [f"{MODEL}.predictions", f"{MODEL} version 2"]
    (record,) = comparisons(shop.platform, model)
    compared = metadata_of(shop.instance, dg.AssetKey.from_user_string(COMPARED), NEXT_DAY)
    assert compared.metadata["running difference_mae"].value == record.running_values["difference_mae"] == 0
    assert (compared.metadata["champion"].value, compared.metadata["challenger"].value) == (1, 2)
    key = dg.AssetCheckKey(dg.AssetKey.from_user_string(COMPARED), "challenger_not_worse")
    (check,) = shop.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert check.event is not None and check.event.asset_check_evaluation is not None
    told = check.event.asset_check_evaluation
    assert (told.passed, told.description) == (True, f"version 2 {record.words}"), "it is the same fit"
