"""The state of each version, and of a model's whole row of transitions, from the records alone."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.models.records import PROMOTIONS, TransitionKind, TransitionRecord, VersionRecord
from mlops_assets.models.states import serving_order, states_of

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def registered(count: int) -> list[VersionRecord]:
    return [VersionRecord(number, f"candidate {number}", "2024-01") for number in range(1, count + 1)]


def made(*steps: tuple[TransitionKind, int]) -> list[TransitionRecord]:
    return [
        TransitionRecord(number, version, kind, MOMENT, "ana", "why") for number, (kind, version) in enumerate(steps, 1)
    ]


def test_the_newest_that_never_served_competes_and_each_that_served_says_so() -> None:
    found = states_of(registered(5), made(("promotion", 1), ("promotion", 2), ("promotion", 3)))
    assert found == {1: "served", 2: "previous", 3: "champion", 4: "registered", 5: "challenger"}


def test_what_was_passed_over_rejected_or_taken_out_does_not_compete() -> None:
    assert states_of(registered(2), made(("promotion", 2))) == {1: "registered", 2: "champion"}
    assert states_of(registered(2), made(("promotion", 1)), {2}) == {1: "champion", 2: "registered"}
    assert states_of(registered(3), made(("promotion", 1), ("retirement", 3))) == {
        1: "champion",
        2: "challenger",
        3: "retired",
    }
    assert states_of(registered(1), made(("retirement", 1), ("deletion", 1))) == {1: "deleted"}


def test_a_rollback_goes_past_what_was_rolled_back_from() -> None:
    three = made(("promotion", 1), ("promotion", 2), ("promotion", 3))
    back = [*three, TransitionRecord(4, 2, "rollback", MOMENT, "ana", "why")]
    assert states_of(registered(3), back) == {1: "previous", 2: "champion", 3: "served"}
    again = [*back, TransitionRecord(5, 1, "rollback", MOMENT, "ana", "why")]
    assert states_of(registered(3), again) == {1: "champion", 2: "served", 3: "served"}
    forth = [*back, TransitionRecord(5, 3, "rollback", MOMENT, "ana", "why")]
    assert states_of(registered(3), forth) == {1: "served", 2: "previous", 3: "champion"}


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["promotion", "rollback", "retirement", "deletion"]), st.integers(1, 6)), max_size=12
    ),
    rejected=st.sets(st.integers(1, 6)),
)
def test_whatever_happened_one_serves_and_at_max_one_waits(
    steps: list[tuple[TransitionKind, int]], rejected: set[int]
) -> None:
    serving = 0
    allowed: list[tuple[TransitionKind, int]] = []
    for kind, version in steps:  # as the platform lets it: the champion is never taken out, nor the deleted promoted
        ended = {other for done, other in allowed if done not in PROMOTIONS}
        if (kind in PROMOTIONS and version in ended) or (kind not in PROMOTIONS and version == serving):
            continue
        serving = version if kind in PROMOTIONS else serving
        allowed.append((kind, version))
    states = list(states_of(registered(6), made(*allowed), rejected).values())
    assert states.count("champion") == (1 if serving else 0)
    assert states.count("previous") <= 1 and states.count("challenger") <= 1
    order = serving_order(made(*allowed))
    assert len(order) == len(set(order)) and order[-1:] == ([serving] if serving else [])
