"""A server whose tokens or clock are not what they were opens nothing, and says where to look."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from mlops_assets_tests.serving.predicting import serving, shared_line
from mlops_assets_tests.small_line import Line, hours

pytestmark = pytest.mark.slow
ASKED = "/v1/models"


@pytest.fixture
def line(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Line:
    return shared_line(tmp_path_factory).copy(tmp_path / "line")


def test_a_damaged_line_that_revoked_a_token_opens_it_to_nobody(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    with serving(line) as client:
        assert client.get(ASKED).status_code == 200
        tokens = line.platform.tokens
        tokens.revoke("test 0", line.platform.clock.now())
        assert client.get(ASKED).status_code == 401
        whole = tokens.file.read_bytes()
        tokens.file.write_bytes(whole.replace(b'"revoked"', b'"revoked'))
        refused = client.get(ASKED)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        assert str(tokens.file) not in refused.text and str(tokens.file) in caplog.text
        tokens.file.write_bytes(whole)
        assert client.get(ASKED).status_code == 401


def test_a_clock_that_went_back_opens_nothing(line: Line) -> None:
    clock = line.platform.home.clock
    now = clock.now()
    with serving(line) as client:
        clock.set(now + hours(1))
        assert client.get(ASKED).status_code == 200
        back = {**json.loads(clock.file.read_bytes()), "now": datetime.isoformat(now)}
        clock.file.write_text(json.dumps(back), encoding="utf-8")
        assert client.get(ASKED).status_code == 503
