"""Pages over HTTP: who may read them, how people log in and out, and what the answers allow a browser."""

import base64
import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.lakehouse.home import Home
from mlops_assets.platform import Platform
from mlops_assets.serving.app import create_app
from mlops_assets.serving.authorization import COOKIE
from mlops_assets.serving.pages.routes import HOME, local_path
from mlops_assets.serving.settings import ServingSettings
from mlops_assets_tests.project.small_project import SmallProject
from mlops_assets_tests.serving.asking import Browser
from mlops_assets_tests.serving.pages.reading import ReadPage


@pytest.fixture
def platform(tmp_path: Path, home: Home) -> Platform:
    return Platform.of(SmallProject(tmp_path / "project").load(), home)


@pytest.fixture
def client(platform: Platform) -> Browser:
    return client_of(platform)


def client_of(platform: Platform, host: str = "127.0.0.1") -> Browser:
    scheme = "http" if host == "127.0.0.1" else "https"
    return Browser(create_app(platform, ServingSettings(host)), f"{scheme}://{host}:8000")


def token(platform: Platform, role: str = "reader") -> str:
    return platform.tokens.create(role, (role,), None, platform.clock.now())


def logged_in(client: Browser, platform: Platform, role: str = "reader") -> Browser:
    client.cookies[COOKIE] = token(platform, role)
    return client


@pytest.mark.parametrize(
    "path",
    ["/", "/features", "/features/trend", "/features?q=a%20b&owner=team%3Ax&page=2", "/models", "/models/forecast"],
)
def test_a_page_without_a_token_leads_to_the_login_and_back(client: Browser, platform: Platform, path: str) -> None:
    asked = client.get(path)
    assert asked.status == 303
    login = client.get(asked.headers["location"])
    assert login.status == 200
    following = re.search(r'name="next" value="([^"]+)"', login.text)
    assert following
    sent = {"token": token(platform), "next": following[1].replace("&amp;", "&")}
    answer = client.send("/login", sent)
    assert (answer.status, answer.headers["location"]) == (303, path)
    assert client.get(path).status == 200


def test_the_token_is_kept_where_no_script_and_no_other_site_reaches_it(client: Browser, platform: Platform) -> None:
    cookie = client.send("/login", {"token": token(platform)}).headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=mlops_")
    assert "; HttpOnly" in cookie
    assert "; SameSite=strict" in cookie
    assert "; Path=/" in cookie
    assert "Secure" not in cookie  # on loopback, where there is no certificate


def test_beyond_this_machine_the_token_is_sent_over_https_alone(platform: Platform) -> None:
    client = client_of(platform, "features.example.org")
    assert "; Secure" in client.send("/login", {"token": token(platform)}).headers["set-cookie"]


@pytest.mark.parametrize("given_", ["", "mlops_wrong", "x" * 1000, "<img src=x>"])
def test_a_wrong_token_is_refused_in_words_and_not_repeated(client: Browser, given_: str) -> None:
    answer = client.send("/login", {"token": given_, "next": "/features/trend"})
    assert answer.status == 401
    assert "not known here, was revoked or has expired" in answer.text
    assert 'name="next" value="/features/trend"' in answer.text
    assert "set-cookie" not in answer.headers
    assert not given_ or given_ not in answer.text


def test_a_revoked_token_leads_to_the_login_again(client: Browser, platform: Platform) -> None:
    logged_in(client, platform)
    assert client.get("/features").status == 200
    platform.tokens.revoke("reader", platform.clock.now())
    assert client.get("/features").headers["location"] == "/login?next=%2Ffeatures"


def test_who_is_logged_in_is_not_asked_again(client: Browser, platform: Platform) -> None:
    logged_in(client, platform)
    assert client.get("/login?next=/features/trend").headers["location"] == "/features/trend"


def test_logging_out_takes_the_token_away(client: Browser, platform: Platform) -> None:
    client.send("/login", {"token": token(platform)})
    answer = client.send("/logout", {})
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert client.get("/features").status == 303


@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_no_other_site_logs_anybody_in_or_out(client: Browser, platform: Platform, path: str) -> None:
    sent = {"token": token(platform)}
    for origin in ("https://elsewhere.example", "http://127.0.0.1:8001", "null"):
        answer = client.send(path, sent, origin=origin)
        assert answer.status == 403
        assert "set-cookie" not in answer.headers
    assert client.send(path, sent, origin="http://127.0.0.1:8000").status == 303


OUTWARDS = [
    "//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "/\t/elsewhere.example", "\\\\a.b",
    "/\n/elsewhere.example", "javascript:alert(1)", " //elsewhere.example", "", "features", "/login", "/logout",
    "///elsewhere.example", "/\r\nSet-Cookie: a=b", "http:/elsewhere.example",
]  # fmt: skip


@pytest.mark.parametrize("following", OUTWARDS)
def test_after_logging_in_nobody_is_led_away(client: Browser, platform: Platform, following: str) -> None:
    answer = client.send("/login", {"token": token(platform), "next": following})
    assert (answer.status, answer.headers["location"]) == (303, HOME)


@given(st.text() | st.text(alphabet="/\\:.\t\n a@?#").map(lambda text: f"/{text}"))
def test_whatever_is_asked_for_the_way_back_is_a_path_of_this_server(asked: str) -> None:
    path = local_path(asked)
    assert path[0] == "/"
    assert path[1:2] not in ("/", "\\")
    assert not re.search(r"[\s\\\x00-\x1f]", path)


def test_a_token_without_the_scope_is_told_which_is_missing(platform: Platform) -> None:
    roles = {**platform.tokens.roles, "pusher": frozenset({"sources:push"})}
    platform.tokens.roles = roles  # type: ignore[assignment]
    client = logged_in(client_of(platform), platform, "pusher")
    answer = client.get("/features")
    assert answer.status == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert "without the scope features:read" in answer.text
    assert "Log out" in answer.text


def test_an_unknown_table_is_a_page_that_names_the_nearest(client: Browser, platform: Platform) -> None:
    answer = logged_in(client, platform).get("/features/trent")
    assert answer.status == 404
    assert "write &#39;trend&#39;" in answer.text


def test_in_a_new_home_the_list_of_models_says_that_none_serves_yet(client: Browser, platform: Platform) -> None:
    page = ReadPage(logged_in(client, platform).get("/models?page=7").text)
    assert page.links["/models/forecast"] == ["forecast"]
    assert "1 model, of which none uses personal data" in page.text
    assert "No version yet" in page.text


def test_an_unknown_model_or_period_is_a_page_that_says_what_there_is(client: Browser, platform: Platform) -> None:
    logged_in(client, platform)
    answer = client.get("/models/forecats")
    assert answer.status == 404
    assert "write &#39;forecast&#39;" in answer.text
    answer = client.get("/models/forecast?period=%3Cimg%3E")
    assert answer.status == 404
    assert "one that was predicted from; nothing was yet" in answer.text
    assert "<img>" not in answer.text


def test_a_name_full_of_markup_stays_text(client: Browser, platform: Platform) -> None:
    answer = logged_in(client, platform).get("/features/%3Cimg%20src=x%20onerror=alert(1)%3E")
    assert answer.status == 404
    assert "<img" not in answer.text
    assert "&lt;img src=x" in answer.text


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b"{}", "application/json", 415), (b"&".join([b"a=b"] * 50), "application/x-www-form-urlencoded", 400)],
)
def test_what_is_no_form_of_ours_is_refused(client: Browser, body: bytes, kind: str, status: int) -> None:
    assert client.post("/login", body, kind).status == status


@pytest.mark.parametrize(
    "path", ["/", "/features", "/features/trend", "/features/none", "/login?next=/", "/login", "/docs", "/models"]
)
def test_every_page_runs_its_own_style_and_script_and_nothing_else(
    client: Browser, platform: Platform, path: str
) -> None:
    for answer in (client.get(path), logged_in(client, platform).get(path)):
        headers = answer.headers
        policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
        assert (policy["default-src"], policy["form-action"], policy["base-uri"]) == ("'none'", "'self'", "'none'")
        assert policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in str(policy)
        for kind in ("style", "script"):
            for text in re.findall(rf"<{kind}>(.*?)</{kind}>", answer.text, re.DOTALL):
                digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
                assert f"'sha256-{digest}'" in policy[f"{kind}-src"]
        assert not re.search(r"\sstyle=|\son[a-z]+=|<link[^>]+href=\"(?!data:)", answer.text)
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
        assert (headers["referrer-policy"], headers["cache-control"]) == ("same-origin", "no-store")


def test_the_link_into_dagster_follows_the_environment(
    client: Browser, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DAGSTER_URL", "https://dagster.example.org/")
    answer = logged_in(client, platform).get("/features/trend")
    assert 'href="https://dagster.example.org/assets/trend"' in answer.text


def test_pages_are_no_part_of_the_described_interface(client: Browser) -> None:
    assert "/login" not in client.get("/openapi.json").text


def test_what_docstrings_mark_as_code_is_shown_as_code(client: Browser) -> None:
    text = client.get("/docs").text
    assert "with <code>model</code> the answer" in " ".join(text.split())
    assert "``" not in text
