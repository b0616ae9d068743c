"""The platform clock, and the home that holds all embedded state."""

import json
import os
import shutil
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlops_assets.errors import DamagedStateError, UnusableEnvironmentError
from mlops_assets.lakehouse import clock as clock_module
from mlops_assets.lakehouse.clock import HomeClock, StandingClock, SystemClock
from mlops_assets.lakehouse.home import HOME_VARIABLE, SMALLEST_FREE_SPACE_VARIABLE, Home
from mlops_assets_tests.local_paths import path_of

MOMENT = datetime(2024, 3, 5, 12, 30, tzinfo=UTC)


@pytest.fixture
def clock(tmp_path: Path) -> HomeClock:
    """A clock that nobody has set."""
    return HomeClock(tmp_path / "clock.json")


def test_a_clock_that_nobody_set_follows_the_machine(clock: HomeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "SystemClock", lambda: StandingClock(MOMENT))
    assert clock.now() == MOMENT
    assert not clock.file.exists()


def test_the_clock_of_the_machine_tells_utc() -> None:
    before = datetime.now(UTC)
    told = SystemClock().now()
    assert before <= told <= datetime.now(UTC)
    assert told.utcoffset() == timedelta(0)


def test_a_clock_that_was_set_stands_still(clock: HomeClock) -> None:
    clock.set(MOMENT)
    assert clock.now() == clock.now() == MOMENT


def test_a_clock_can_be_set_forward_and_back(clock: HomeClock) -> None:
    for moment in (MOMENT, MOMENT + timedelta(days=40), MOMENT - timedelta(microseconds=1)):
        clock.set(moment)
        assert clock.now() == clock.newest() == moment


def test_a_clock_that_advances_never_goes_back(clock: HomeClock) -> None:
    for moment in (MOMENT, MOMENT, MOMENT + timedelta(days=40)):
        clock.advance(moment)
        assert clock.now() == moment
    with pytest.raises(DamagedStateError) as refused:
        clock.advance(MOMENT)
    assert refused.value.found.startswith(f"a clock that went back to {MOMENT.isoformat()}: 2024-04-14T12:30:00+00:00")
    assert clock.now() == MOMENT + timedelta(days=40)


def test_a_standing_clock_whose_file_was_replaced_by_an_older_one_is_refused(clock: HomeClock) -> None:
    clock.set(MOMENT)
    older = clock.file.read_bytes()
    clock.set(MOMENT + timedelta(microseconds=1))
    clock.file.write_bytes(older)
    for ask in (clock.now, clock.note):
        with pytest.raises(DamagedStateError, match="a clock that went back"):
            ask()


def test_the_machines_clock_may_go_back_by_minutes_and_no_more(
    clock: HomeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(moment: datetime) -> None:
        monkeypatch.setattr(clock_module, "SystemClock", lambda: StandingClock(moment))

    at(MOMENT)
    clock.now()
    assert clock.newest() is None  # asking keeps nothing
    clock.note()
    at(MOMENT + timedelta(seconds=59))
    assert (clock.note(), clock.newest()) == (MOMENT + timedelta(seconds=59), MOMENT)  # at most once a minute
    at(MOMENT + timedelta(minutes=1))
    assert clock.note() == clock.newest() == MOMENT + timedelta(minutes=1)
    at(MOMENT - timedelta(minutes=4))
    assert clock.note() == MOMENT - timedelta(minutes=4)
    assert clock.newest() == MOMENT + timedelta(minutes=1)
    at(MOMENT - timedelta(minutes=4, microseconds=1))
    with pytest.raises(DamagedStateError) as refused:
        HomeClock(clock.file).note()
    assert "set the clock right" in refused.value.cure and "newest_moment.json" in refused.value.cure
    (clock.file.parent / "newest_moment.json").unlink()  # the cure where what was noted is wrong
    assert clock.note() == clock.newest() == MOMENT - timedelta(minutes=4, microseconds=1)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 1}', b'{"format": 1, "newest": "soon"}', b"\xff"])
def test_a_newest_moment_that_cannot_be_read_is_named(clock: HomeClock, content: bytes) -> None:
    (clock.file.parent / "newest_moment.json").write_bytes(content)
    with pytest.raises(DamagedStateError, match="newest_moment.json, which cannot be read"):
        clock.now()


def test_whoever_opens_the_home_sees_the_clock_that_was_set(home: Home) -> None:
    home.clock.set(MOMENT)
    assert Home(home.folder).clock.now() == MOMENT


def test_a_clock_whose_file_is_deleted_follows_the_machine_again(
    clock: HomeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.set(MOMENT)
    clock.file.unlink()
    monkeypatch.setattr(clock_module, "SystemClock", lambda: StandingClock(MOMENT + timedelta(days=1)))
    assert clock.now() == MOMENT + timedelta(days=1)


def test_a_clock_set_in_another_zone_tells_utc(clock: HomeClock) -> None:
    clock.set(MOMENT.astimezone(timezone(timedelta(hours=-5))))
    assert clock.now() == MOMENT
    assert clock.now().utcoffset() == timedelta(0)
    assert StandingClock(MOMENT.astimezone(timezone(timedelta(hours=9)))).now().utcoffset() == timedelta(0)


@pytest.mark.usefixtures("machine_in_new_york")
def test_a_clock_set_without_zone_is_set_to_utc(clock: HomeClock) -> None:
    clock.set(MOMENT.replace(tzinfo=None))
    assert clock.now() == MOMENT
    assert StandingClock(MOMENT.replace(tzinfo=None)).now() == MOMENT


@pytest.mark.parametrize(
    "content", ["", '{"now": "2024-', "[]", '{"then": 1}', '{"now": "soon"}', '{"now": 5}', "\xff"]
)
def test_a_spoiled_clock_says_so_and_is_never_taken_for_the_machines(clock: HomeClock, content: str) -> None:
    clock.file.write_bytes(content.encode("latin-1"))
    with pytest.raises(UnusableEnvironmentError) as spoiled:
        clock.now()
    assert spoiled.value.found == f"the clock {clock.file} cannot be read"
    assert "2024-01-01T00:00:00+00:00" in spoiled.value.expected
    assert "delete the file to follow the machine's clock" in spoiled.value.cure
    clock.set(MOMENT)
    assert clock.now() == MOMENT


def test_a_write_that_fails_leaves_the_clock_as_it_was(clock: HomeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    clock.set(MOMENT)

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        clock.set(MOMENT + timedelta(days=1))
    assert clock.now() == MOMENT
    assert sorted(file.name for file in clock.file.parent.iterdir()) == ["clock.json", "newest_moment.json"]


def test_the_home_is_the_folder_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "named"))
    assert Home.find(tmp_path / "project").folder == tmp_path / "named"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(HOME_VARIABLE, "below")
    assert Home.find().folder == tmp_path.resolve() / "below"


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_name_the_home_lies_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv(HOME_VARIABLE)
    if value is not None:
        monkeypatch.setenv(HOME_VARIABLE, value)
    assert Home.find(tmp_path / "project").folder == (tmp_path / "project").resolve() / ".mlops"
    monkeypatch.chdir(tmp_path)
    assert Home.find().folder == tmp_path.resolve() / ".mlops"


def test_everything_that_a_home_holds_lies_below_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    stored = map(path_of, (home.tables, home.deliveries, home.reports))
    parts = {home.clock.file, home.landing, home.dagster, home.mlflow, home.scratch, *stored}
    assert all(home.folder in part.parents for part in parts)
    assert len(parts) == 8


def test_preparing_a_home_makes_it_and_leaves_nothing_but_its_format(tmp_path: Path) -> None:
    home = Home(tmp_path / "not" / "yet")
    assert home.prepare() == home
    assert home.folder.is_dir()
    assert [file.name for file in home.folder.iterdir()] == ["format.json"]
    assert home.prepare() == home


def test_preparing_a_home_again_changes_nothing_in_it(home: Home) -> None:
    before = home.clock.file.read_bytes()
    home.prepare()
    assert home.clock.file.read_bytes() == before


@pytest.mark.parametrize(("below", "reason"), [("home", "File exists"), ("home/deeper", "Not a directory")])
def test_a_file_in_the_way_of_the_home_is_named(tmp_path: Path, below: str, reason: str) -> None:
    (tmp_path / "home").write_text("in the way", encoding="utf-8")
    with pytest.raises(UnusableEnvironmentError) as refused:
        Home(tmp_path / below).prepare()
    assert refused.value.found == f"the home {tmp_path / below} cannot be written ({reason})"
    assert refused.value.expected == "a folder that this user can write"
    assert refused.value.cure == f"set {HOME_VARIABLE} to such a folder"


def test_a_home_that_only_others_may_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The user who runs the tests may be one whom no permission stops, so the refusal itself is put in.
    def denied(self: Path, content: bytes) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", denied)
    with pytest.raises(UnusableEnvironmentError) as refused:
        Home(tmp_path / "home").prepare()
    assert "cannot be written (Permission denied)" in refused.value.found


def test_too_little_disk_is_refused_with_what_is_free_and_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SMALLEST_FREE_SPACE_VARIABLE, "300")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=299_999_999))
    with pytest.raises(UnusableEnvironmentError) as refused:
        Home(tmp_path / "home").prepare()
    assert refused.value.found == f"299 MB free on the disk of {tmp_path / 'home'}"
    assert refused.value.expected == "at least 300 MB"
    assert refused.value.cure == f"make room, or set {HOME_VARIABLE} to a folder on another disk"
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=300_000_000))
    assert Home(tmp_path / "home").prepare().folder.is_dir()


def test_no_real_disk_has_the_room_that_is_asked_for_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SMALLEST_FREE_SPACE_VARIABLE, str(10**12))
    with pytest.raises(UnusableEnvironmentError, match="MB free on the disk"):
        Home(tmp_path / "home").prepare()


def test_without_a_setting_200_megabytes_must_be_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=199_999_999))
    with pytest.raises(UnusableEnvironmentError, match="at least 200 MB"):
        Home(tmp_path / "home").prepare()


@pytest.mark.parametrize("value", ["plenty", "", "1.5"])
def test_a_min_free_space_that_is_no_number_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(SMALLEST_FREE_SPACE_VARIABLE, value)
    with pytest.raises(UnusableEnvironmentError) as refused:
        Home(tmp_path / "home").prepare()
    assert refused.value.found == f"{SMALLEST_FREE_SPACE_VARIABLE} is '{value}'"
    assert refused.value.expected == "a whole number of megabytes"
    assert refused.value.cure == "correct or unset it"


def test_the_file_of_a_clock_is_readable_by_people(clock: HomeClock) -> None:
    clock.set(MOMENT)
    assert json.loads(clock.file.read_text(encoding="utf-8")) == {"format": 1, "now": "2024-03-05T12:30:00+00:00"}


@pytest.mark.parametrize("name", ["home [prod]", "a|b", "a^b", "back\\slash", "two\nlines"])
def test_a_home_where_no_table_can_lie_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    for open_home in (Home.prepare, Home.begin, Home.require_format):
        with pytest.raises(UnusableEnvironmentError) as refused:
            open_home(Home(tmp_path / name / ".mlops"))
        assert refused.value.expected == "a path without [ ] ^ | and backslashes, where Delta tables cannot lie"
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("before_it_is_read", [True, False])
@pytest.mark.parametrize("moment", [datetime(2024, 6, 1, tzinfo=UTC), datetime(2023, 6, 1, tzinfo=UTC)])
def test_a_clock_that_is_set_while_others_read_it_has_not_gone_back(
    home: Home, monkeypatch: pytest.MonkeyPatch, moment: datetime, before_it_is_read: bool
) -> None:
    before, seen = home.clock.now(), list[datetime]()
    monkeypatch.setattr(clock_module, "write_point", lambda name: seen.append(home.clock.now()))
    standing = HomeClock._standing

    def set_meanwhile(self: HomeClock) -> datetime | None:
        monkeypatch.setattr(HomeClock, "_standing", standing)
        stood = standing(self)
        home.clock.set(moment)
        return standing(self) if before_it_is_read else stood

    monkeypatch.setattr(HomeClock, "_standing", set_meanwhile)
    assert home.clock.now() == (moment if before_it_is_read else before)
    assert home.clock.now() == moment
    assert set(seen) <= {before, moment} and moment in seen
