"""Deliveries: kept byte for byte, counted, recorded, and not twice."""

import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.errors import MissingDataError
from mlops_assets.lakehouse.deliveries import Delivery, DeliveryStore
from mlops_assets.storage.opening import storage_at
from mlops_assets_tests.local_paths import path_of

ARRIVED = datetime(2024, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
KNOWN = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> DeliveryStore:
    """A store without deliveries."""
    return DeliveryStore(storage_at(tmp_path / "deliveries"))


@pytest.fixture
def landed(tmp_path: Path) -> Path:
    """Where a file arrives."""
    return tmp_path / "2024-01.csv"


def keep(store: DeliveryStore, file: Path, content: bytes, days: int = 0, period: str = "2024-01") -> Delivery:
    file.write_bytes(content)
    later = timedelta(days=days)
    return store.keep([file], "sales", period, suffix=".csv", arrived_at=ARRIVED + later, known_at=KNOWN + later)


def test_deliveries_are_in_their_order_also_beyond_ten_thousand(store: DeliveryStore, landed: Path) -> None:
    record = path_of(store.folder) / "sales" / "2024-01" / f"0001-{keep(store, landed, b'first').sha256[:12]}.json"
    last = json.loads(record.read_text(encoding="utf-8")) | {"number": 9_999}
    record.with_name("9999-of-many.json").write_text(json.dumps(last), encoding="utf-8")
    assert [keep(store, landed, b"second").number, keep(store, landed, b"third").number] == [10_000, 10_001]
    newest = store.newest("sales", "2024-01")
    assert newest and newest.number == 10_001
    assert [delivery.number for delivery in store.of("sales", "2024-01")] == [1, 9_999, 10_000, 10_001]


def files(store: DeliveryStore) -> list[str]:
    folder = path_of(store.folder)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@given(st.binary(max_size=200) | st.just(b"\xef\xbb\xbfshop,units\r\nnorth,1\r\n\x00\x1a"))
@settings(max_examples=50)
def test_a_delivery_is_kept_byte_for_byte(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("store")
    store = DeliveryStore(storage_at(folder / "deliveries"))
    kept = keep(store, folder / "landed.csv", content)
    assert store.content_files(kept)[0].read_bytes() == content
    assert kept.sha256 == hashlib.sha256(content).hexdigest()
    assert (folder / "landed.csv").read_bytes() == content


def test_a_record_says_what_came_when_and_that_it_is_not_accepted_yet(store: DeliveryStore, landed: Path) -> None:
    kept = keep(store, landed, b"one")
    sha256 = hashlib.sha256(b"one").hexdigest()
    assert kept == Delivery("sales", "2024-01", 1, sha256, (f"0001-{sha256[:12]}.csv",), ARRIVED, KNOWN, accepted=False)
    assert store.of("sales", "2024-01") == [kept]
    assert files(store) == [f"sales/2024-01/0001-{sha256[:12]}.{kind}" for kind in ("csv", "json")]


def test_the_same_bytes_again_are_no_new_delivery(store: DeliveryStore, landed: Path) -> None:
    first = keep(store, landed, b"one")
    before = files(store)
    assert keep(store, landed, b"one", days=9) == first
    assert files(store) == before
    accepted = store.accept(first)
    assert keep(store, landed, b"one", days=10) == accepted


def test_other_bytes_are_the_next_delivery_and_the_first_stays(store: DeliveryStore, landed: Path) -> None:
    first, second = keep(store, landed, b"one"), keep(store, landed, b"two", days=1)
    assert [kept.number for kept in store.of("sales", "2024-01")] == [1, 2]
    assert second.arrived_at == ARRIVED + timedelta(days=1)
    assert store.content_files(first)[0].read_bytes() == b"one"
    assert store.content_files(second)[0].read_bytes() == b"two"


def test_bytes_that_came_before_another_delivery_are_a_delivery_again(store: DeliveryStore, landed: Path) -> None:
    for content in (b"one", b"two", b"one"):
        keep(store, landed, content)
    kept = store.of("sales", "2024-01")
    assert [delivery.number for delivery in kept] == [1, 2, 3]
    assert [store.content_files(delivery)[0].read_bytes() for delivery in kept] == [b"one", b"two", b"one"]


def test_deliveries_are_numbered_in_the_order_they_came(store: DeliveryStore, landed: Path) -> None:
    contents = [f"delivery {number}".encode() for number in range(12)]
    for content in contents:
        keep(store, landed, content)
    kept = store.of("sales", "2024-01")
    assert [delivery.number for delivery in kept] == list(range(1, 13))
    assert [store.content_files(delivery)[0].read_bytes() for delivery in kept] == contents


def test_each_source_and_period_counts_for_itself(store: DeliveryStore, landed: Path) -> None:
    keep(store, landed, b"one")
    assert keep(store, landed, b"two", period="2024-02").number == 1
    visits = store.keep([landed], "visits", "2024-01", suffix=".csv", arrived_at=ARRIVED, known_at=KNOWN)
    assert visits.number == 1
    assert len(store.of("sales", "2024-01")) == len(store.of("visits", "2024-01")) == 1
    assert store.of("sales", "2024-03") == []


def test_accepting_changes_nothing_but_that(store: DeliveryStore, landed: Path) -> None:
    first, second = keep(store, landed, b"one"), keep(store, landed, b"two")
    accepted = store.accept(second)
    assert accepted.accepted
    assert store.of("sales", "2024-01") == [first, accepted]
    assert (accepted.number, accepted.sha256, accepted.arrived_at) == (second.number, second.sha256, second.arrived_at)
    assert store.content_files(accepted)[0].read_bytes() == b"two"


def test_accepting_twice_is_accepting_once(store: DeliveryStore, landed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = keep(store, landed, b"one")
    accepted = store.accept(delivery)
    assert store.accept(delivery) == accepted
    monkeypatch.setattr(os, "replace", lambda *paths: pytest.fail("an accepted delivery was written again"))
    assert store.accept(accepted) == accepted


def test_the_first_accepted_is_not_one_that_was_refused(store: DeliveryStore, landed: Path) -> None:
    assert store.first_accepted("sales", "2024-01") is None
    keep(store, landed, b"refused")
    assert store.first_accepted("sales", "2024-01") is None
    second = store.accept(keep(store, landed, b"good"))
    store.accept(keep(store, landed, b"correction"))
    assert store.first_accepted("sales", "2024-01") == second
    assert store.first_accepted("sales", "2024-02") is None


def test_a_file_that_is_not_there_is_asked_for(store: DeliveryStore, landed: Path) -> None:
    with pytest.raises(MissingDataError) as missing:
        store.keep([landed], "sales", "2024-01", suffix=".csv", arrived_at=ARRIVED, known_at=KNOWN)
    assert missing.value.found == f"no file {landed} for period 2024-01 of source 'sales'"
    assert missing.value.expected == "a delivery in the source's landing folder"
    assert missing.value.cure == "deliver the file, or choose a period that was delivered"
    assert not store.folder.exists()


def test_bytes_without_a_record_do_not_count(
    store: DeliveryStore, landed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Keeping ends after the bytes are written and before the record is.
    def out_of_room(self: DeliveryStore, delivery: Delivery) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(DeliveryStore, "_record", out_of_room)
        with pytest.raises(OSError, match="No space left"):
            keep(store, landed, b"one")
    assert len(files(store)) == 1
    assert store.of("sales", "2024-01") == []
    again = keep(store, landed, b"other")
    assert again.number == 1
    assert store.of("sales", "2024-01") == [again]
    assert store.content_files(again)[0].read_bytes() == b"other"


def test_a_record_that_was_half_written_does_not_count(store: DeliveryStore, landed: Path) -> None:
    kept = keep(store, landed, b"one")
    folder = path_of(store.content_files(kept)[0].parent)
    (folder / ".0002-abc.json.123-4.partial").write_text("{", encoding="utf-8")
    assert store.of("sales", "2024-01") == [kept]
    assert keep(store, landed, b"two").number == 2
