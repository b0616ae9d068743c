"""Promotion, approval, rollback, retirement and deletion on a real MLflow: checked again, one step, and in words."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from mlops_assets.errors import ConflictError, ContractError, ForbiddenError, MissingDataError
from mlops_assets.lakehouse.periods import Duration
from mlops_assets.lakehouse.records import write_record
from mlops_assets.models.approving import approve, finish_approved, reject
from mlops_assets.models.promotion import promote, register, rollback, sync_aliases
from mlops_assets.models.records import (
    CandidateRecord,
    TransitionRecord,
    VersionRecord,
    candidate_of_version,
    present_champion,
    promotions,
    transitions,
    versions,
)
from mlops_assets.models.retirement import delete, prunable, prune, retire
from mlops_assets.platform import Platform
from mlops_assets_tests.models.registering import ANA, BEN, MACHINE, Decided, files_of, let_two_approvals_meet
from mlops_assets_tests.models.test_life_of_a_version import FIRST_TRAINING

pytestmark = pytest.mark.slow


@pytest.fixture
def model(trained: tuple[Platform, CandidateRecord]) -> Decided:
    return Decided.anew(*trained)


@pytest.fixture
def waiting(trained: tuple[Platform, CandidateRecord]) -> Decided:
    """A model that requires approval, with two versions, of which the first was approved."""
    made = Decided.anew(*trained, approval="required")
    made.version()
    approve(made.platform, made.model, 1, ANA, "the first")
    made.version()
    return made


def told(caught: pytest.ExceptionInfo[Exception], *words: str) -> None:
    for text in words:
        assert text in str(caught.value)


def test_promotions_are_numbered_and_mlflow_shows_what_is_recorded(model: Decided) -> None:
    first, second = model.promoted(), model.promoted()
    model.version()
    assert [(one.number, one.version, one.kind, one.by) for one in (first, second)] == [
        (1, 1, "promotion", "the gates"),
        (2, 2, "promotion", "the gates"),
    ]
    assert second.reason == model.trained.verdict
    assert model.states == model.tags() == {1: "previous", 2: "champion", 3: "challenger"}
    assert model.aliases() == {"previous": 1, "champion": 2, "challenger": 3}
    again = promote(model.platform, model.model, versions(model.platform, model.model)[1].version)
    assert again == second
    assert transitions(model.platform, model.model) == [first, second]


def test_mlflow_is_an_index_that_is_mended(model: Decided) -> None:
    import mlflow  # noqa: TID253

    model.promoted()
    model.promoted()
    client = mlflow.MlflowClient(model.registry.tracking_uri)
    client.set_registered_model_alias(model.model.name, "champion", "1")
    client.set_registered_model_alias(model.model.name, "challenger", "1")
    client.set_model_version_tag(model.model.name, "1", "state", "champion")
    assert promotions(model.platform, model.model)[-1].version == 2
    sync_aliases(model.platform, model.model)
    assert model.aliases() == {"previous": 1, "champion": 2}
    assert model.tags() == {1: "previous", 2: "champion"}


def test_what_is_no_version_or_older_than_the_champion_is_not_promoted(model: Decided) -> None:
    first = model.version()
    model.promoted()
    with pytest.raises(ContractError) as older:
        promote(model.platform, model.model, first.version)
    told(older, "is older than the champion, version 2, and was never compared with it")
    with pytest.raises(MissingDataError) as missing:
        promote(model.platform, model.model, 7)
    told(missing, "no version 7 of", "one of: 1, 2")


def test_a_candidate_that_failed_becomes_no_version_and_one_whose_record_says_so_no_champion(model: Decided) -> None:
    at = model.model.schema.calendar.at_key(FIRST_TRAINING)
    model.candidate(passed=False)
    assert register(model.platform, model.model, at) is None
    version = model.version()
    training = candidate_of_version(model.platform, model.model, version.version)
    outcomes = json.loads(training.outcomes)
    outcomes[0]["passed"] = False
    table = model.platform.records(model.model, "candidate")
    write_record(table, replace(training, outcomes=json.dumps(outcomes)))
    with pytest.raises(ContractError) as caught:
        promote(model.platform, model.model, version.version)
    told(caught, "version 1 of", "did not pass its gates")
    assert transitions(model.platform, model.model) == []


def test_a_fit_that_was_exchanged_or_is_gone_or_broken_does_not_serve(model: Decided) -> None:
    version = model.version()
    training = candidate_of_version(model.platform, model.model, version.version)
    files = files_of(model.registry, training.model_uri)
    kept = files.with_name("kept")
    shutil.copytree(files, kept)
    other = files_of(model.registry, training.judged_uri)
    fit = next(files.rglob("*.skops"))
    fit.write_bytes(next(other.rglob("*.skops")).read_bytes())
    with pytest.raises(ContractError) as exchanged:
        promote(model.platform, model.model, version.version)
    told(exchanged, str(fit), "with a fit of the hash", "which was recorded when it was trained")
    fit.write_bytes(fit.read_bytes()[:100])
    with pytest.raises(ContractError) as broken:
        promote(model.platform, model.model, version.version)
    told(broken, str(fit), "which cannot be read")
    shutil.rmtree(files)
    with pytest.raises((MissingDataError, ContractError)):
        promote(model.platform, model.model, version.version)
    assert transitions(model.platform, model.model) == [] and model.states == {1: "challenger"}
    shutil.move(kept, files)
    assert promote(model.platform, model.model, version.version).number == 1


def test_of_two_candidates_of_one_moment_the_one_that_passed_is_registered(model: Decided) -> None:
    at = model.model.schema.calendar.at_key(FIRST_TRAINING)
    failed = model.candidate(passed=False)
    passed = replace(model.trained, key=f"{FIRST_TRAINING}.ffffffff", trained_at=failed.trained_at)
    write_record(model.platform.records(model.model, "candidate"), passed)
    version = register(model.platform, model.model, at)
    assert version is not None and version.candidate == passed.key


def test_a_version_of_another_definition_does_not_serve(model: Decided) -> None:
    version = model.version()
    other = replace(model.model, generation="another")
    with pytest.raises(ContractError) as caught:
        promote(model.platform, other, version.version)
    told(caught, "was trained on other definitions")
    assert transitions(model.platform, model.model) == []


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told_who_won(model: Decided) -> None:
    model.version()
    model.version()
    ready = Barrier(2)
    both = versions(model.platform, model.model)

    def attempt(version: VersionRecord) -> str:
        ready.wait()
        try:
            promote(model.platform, model.model, version.version)
        except (ConflictError, ContractError) as error:
            return str(error)
        return "won"

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(attempt, both))
    made = transitions(model.platform, model.model)
    assert [one.number for one in made] == list(range(1, len(made) + 1))
    if outcomes.count("won") == 1:
        (words,) = (text for text in outcomes if text != "won")
        assert "was promoted to champion by the gates" in words or "is older than the champion, version 2" in words
    else:  # one after the other
        assert [one.version for one in made] == [1, 2]


def test_a_decision_on_what_was_looked_at_before_another_was_made_is_refused(model: Decided) -> None:
    from mlops_assets.models.promotion import decide

    model.version()
    model.version()
    seen = transitions(model.platform, model.model)
    decide(model.platform, model.model, seen, 1, "promotion", "the gates", "first")
    with pytest.raises(ConflictError) as caught:
        decide(model.platform, model.model, seen, 2, "promotion", "ana", "second")
    told(
        caught, "version 2 of", "at the same time version 1 was promoted to champion by the gates: first", "decide anew"
    )
    same = decide(model.platform, model.model, seen, 1, "promotion", "ana", "also first")
    assert (same.by, len(transitions(model.platform, model.model))) == ("the gates", 1)


def test_a_version_that_needs_approval_waits_until_a_person_may_and_does_approve_it(waiting: Decided) -> None:
    platform, model = waiting.platform, waiting.model
    second = versions(platform, model)[1]
    assert waiting.states == {1: "champion", 2: "challenger"}
    with pytest.raises(ContractError) as nobody:
        promote(platform, model, second.version)
    told(nobody, "which nobody approved in place of version 1", f"models approve {model.name} 2")
    for who in (MACHINE, BEN):
        with pytest.raises(ForbiddenError) as forbidden:
            approve(platform, model, 2, who, "better")
        told(forbidden, f"'{who.name}' without the scope models:approve")
    with pytest.raises(ContractError, match="no reason"):
        approve(platform, model, 2, ANA, " ")
    done = approve(platform, model, 2, ANA, "better by a tenth")
    assert (done.number, done.version, done.by, done.reason) == (2, 2, "ana@example.com", "better by a tenth")
    approval = platform.approvals.last(model.name, 2)
    assert approval is not None
    assert (approval.replaces, approval.roles, approval.signature) == (1, ("approver",), None)
    assert approval.model_hash == candidate_of_version(platform, model, 2).model_hash
    assert approve(platform, model, 2, ANA, "better by a tenth") == done
    assert len(platform.approvals.of(model.name)) == 2


def test_an_approval_holds_for_one_fit_in_place_of_one_champion(waiting: Decided) -> None:
    platform, model = waiting.platform, waiting.model
    second, third = versions(platform, model)[1], waiting.version()
    one = platform.approvals.last(model.name, 1)
    assert one is not None
    other_fit = replace(one, version=2, replaces=1, model_hash="0" * 64)
    other_champion = replace(other_fit, replaces=None, model_hash=waiting.trained.model_hash)
    for approval in (other_fit, other_champion):
        platform.approvals.record(approval)
        with pytest.raises(ContractError, match="nobody approved"):
            promote(platform, model, second.version)
        assert finish_approved(platform, model) is None
    platform.approvals.record(replace(one, version=3, replaces=1))
    approve(platform, model, 2, ANA, "better")
    with pytest.raises(ContractError, match="nobody approved in place of version 2"):
        promote(platform, model, third.version)


def test_of_two_approvals_at_once_one_wins_and_the_other_is_told_who_won(
    waiting: Decided, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting.version()
    let_two_approvals_meet(monkeypatch)

    def attempt(version: int) -> TransitionRecord | ConflictError:
        try:
            return approve(waiting.platform, waiting.model, version, ANA, "better")
        except ConflictError as error:
            return error

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(attempt, (2, 3)))
    (won,) = (one for one in outcomes if isinstance(one, TransitionRecord))
    (lost,) = (one for one in outcomes if isinstance(one, ConflictError))
    assert f"version {won.version} was promoted to champion by ana@example.com: better" in lost.found
    assert present_champion(waiting.platform, waiting.model) == won
    assert waiting.states[5 - won.version] in ("registered", "challenger")


def test_a_rejected_version_waits_no_longer_until_it_is_approved_after_all(waiting: Decided) -> None:
    platform, model = waiting.platform, waiting.model
    with pytest.raises(ForbiddenError):
        reject(platform, model, 2, MACHINE, "worse")
    assert reject(platform, model, 2, ANA, "worse in the north").meaning == "rejected"
    assert waiting.states == {1: "champion", 2: "registered"}
    assert "challenger" not in waiting.aliases()
    approve(platform, model, 2, ANA, "I was mistaken")
    assert waiting.states == {1: "previous", 2: "champion"}
    with pytest.raises(ContractError, match="is champion"):
        reject(platform, model, 2, ANA, "worse")


def test_an_approval_that_was_ended_before_its_promotion_is_carried_out(waiting: Decided) -> None:
    from mlops_assets.models.approving import _record

    platform, model = waiting.platform, waiting.model
    approval = _record(platform, model, 2, ANA, "better", "approved", present_champion(platform, model))
    done = finish_approved(platform, model)
    assert done is not None and (done.version, done.by) == (2, "ana@example.com")
    assert finish_approved(platform, model) is None
    assert platform.approvals.last(model.name, 2) == approval


def test_a_rollback_goes_to_what_served_before_and_leaves_out_what_was_rolled_back_from(model: Decided) -> None:
    for _ in range(3):
        model.promoted()
    done = rollback(model.platform, model.model, MACHINE, "wrong prices")
    assert (done.number, done.version, done.kind, done.by, done.reason) == (
        4,
        2,
        "rollback",
        "person at the machine",
        "wrong prices",
    )
    assert model.states == {1: "previous", 2: "champion", 3: "served"}
    assert model.aliases() == {"previous": 1, "champion": 2}
    assert rollback(model.platform, model.model, MACHINE, "again", to=2) == done
    assert rollback(model.platform, model.model, MACHINE, "also").version == 1
    with pytest.raises(MissingDataError, match="served before the champion"):
        rollback(model.platform, model.model, MACHINE, "more")
    assert rollback(model.platform, model.model, MACHINE, "mended", to=3).version == 3


def test_only_who_may_rolls_back_and_only_to_what_served(waiting: Decided) -> None:
    platform, model = waiting.platform, waiting.model
    with pytest.raises(ContractError) as never:
        rollback(platform, model, ANA, "why", to=2)
    told(never, "version 2 of", "is challenger", "a version that served before")
    approve(platform, model, 2, ANA, "better")
    for who in (MACHINE, BEN):
        with pytest.raises(ForbiddenError):
            rollback(platform, model, who, "worse")
    assert rollback(platform, model, ANA, "worse").version == 1
    automatic = replace(model, approval="automatic")
    with pytest.raises(ForbiddenError):  # a token that has no such scope, whatever the model asks for
        rollback(platform, automatic, BEN, "why", to=2)
    with pytest.raises(ContractError, match="is served"):
        promote(platform, automatic, versions(platform, model)[1].version)


def test_a_rollback_to_a_fit_that_is_gone_leaves_the_champion(model: Decided) -> None:
    model.promoted()
    model.promoted()
    shutil.rmtree(files_of(model.registry, candidate_of_version(model.platform, model.model, 1).model_uri))
    with pytest.raises((MissingDataError, ContractError)):
        rollback(model.platform, model.model, MACHINE, "wrong")
    assert model.states == {1: "previous", 2: "champion"}


def test_a_retired_version_takes_no_more_part_and_the_champion_is_never_retired(model: Decided) -> None:
    for _ in range(3):
        model.promoted()
    done = retire(model.platform, model.model, 2, MACHINE, "wrong prices")
    assert retire(model.platform, model.model, 2, MACHINE, "again") == done
    assert model.states == {1: "previous", 2: "retired", 3: "champion"}
    with pytest.raises(ContractError, match="version 3 of .* is the champion"):
        retire(model.platform, model.model, 3, MACHINE, "why")
    with pytest.raises(ContractError, match="is retired"):
        rollback(model.platform, model.model, MACHINE, "why", to=2)
    version = model.version()
    retire(model.platform, model.model, 4, MACHINE, "no")
    with pytest.raises(ContractError, match="is retired"):
        promote(model.platform, model.model, version.version)


def test_a_version_that_served_is_never_deleted_and_one_that_never_did_leaves_its_records(model: Decided) -> None:
    model.promoted()
    version = model.version()
    training = candidate_of_version(model.platform, model.model, version.version)
    folders = [files_of(model.registry, uri) for uri in (training.model_uri, training.judged_uri)]
    with pytest.raises(ContractError) as served:
        delete(model.platform, model.model, 1, MACHINE, "old")
    told(served, "version 1 of", "served", "models retire")
    done = delete(model.platform, model.model, 2, MACHINE, "not wanted")
    assert (done.kind, done.by, done.reason) == ("deletion", "person at the machine", "not wanted")
    assert [int(one.version) for one in model.versions_shown()] == [1]
    assert not any(list(folder.rglob("*.skops")) for folder in folders)
    assert delete(model.platform, model.model, 2, MACHINE, "again") == done
    assert candidate_of_version(model.platform, model.model, 2) == training
    assert model.states == {1: "champion", 2: "deleted"}
    at = model.model.schema.calendar.at_key(FIRST_TRAINING)
    assert register(model.platform, model.model, at) == version  # and no second one in MLflow
    assert len(model.versions_shown()) == 1
    with pytest.raises(ContractError, match="is deleted"):
        promote(model.platform, model.model, version.version)
    assert model.version().version == 3


def test_retention_deletes_what_never_served_once_it_is_old_but_never_the_newest_training(model: Decided) -> None:
    model.model = replace(model.model, candidate_retention=Duration.parse("2 months"))
    served = model.promoted()
    model.version()
    failed = model.candidate(passed=False)
    newest = model.promoted()
    model.later(days=30)
    assert prunable(model.platform, model.model) == []
    model.later(days=40)
    found = prunable(model.platform, model.model)
    assert [(item.version, item.candidate == failed.key) for item in found] == [(2, False), (None, True)]
    assert prune(model.platform, model.model) == found
    assert prunable(model.platform, model.model) == []
    assert model.states == {served.version: "previous", 2: "deleted", newest.version: "champion"}
    assert transitions(model.platform, model.model)[-1].by == "the retention"
    with pytest.raises(Exception, match=r"not found|deleted"):
        files_of(model.registry, failed.model_uri)
    assert list(files_of(model.registry, candidate_of_version(model.platform, model.model, 1).judged_uri).iterdir())
    assert prunable(model.platform, replace(model.model, candidate_retention=None)) == []
