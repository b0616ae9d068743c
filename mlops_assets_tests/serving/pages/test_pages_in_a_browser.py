"""The pages as people use them: the real server on a replayed home, in the system's Chromium.

All tests share one server and one browser. No page may ask another host for anything, nor break its own policy.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from mlops_assets.cli import main
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.lakehouse.masking import MASK
from mlops_assets.platform import Platform
from mlops_assets.project.folder import find_project
from mlops_assets_tests.conftest import Lived, require_program
from mlops_assets_tests.serving.running import Served, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PATIENCE = 30_000
NOT_FOUND = "responded with a status of 4"  # where a page of an error is what a test asks for
LINES = "- table: order_trend"


@pytest.fixture(scope="module")
def project(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """The small project, in which one column is about persons."""
    copy = lived.copy(tmp_path_factory.mktemp("pages"))
    (defs,) = copy.project.glob("*/defs/orders/defs.yaml")
    text = defs.read_text(encoding="utf-8")
    plain = "log_units: {type: double,"
    assert plain in text
    defs.write_text(text.replace(plain, f"{plain} sensitivity: personal,"), encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def tokens(project: Lived) -> dict[str, str]:
    """A token of each of two roles: a reader, and a data scientist who may read what is personal."""
    platform = Platform.of(find_project(project.project).read(), project.home)
    now = platform.clock.now()
    return {role: platform.tokens.create(role, (role,), None, now) for role in ("reader", "data_scientist")}


@pytest.fixture(scope="module")
def server(project: Lived, tokens: dict[str, str]) -> Iterator[Served]:
    with served(project.project, project.home.folder, HOME=str(project.user)) as one:
        yield one


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    chromium = require_program("chromium", "chromium (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=chromium, headless=True, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


class Visit:
    """Somebody's visit: a context of the browser that notes what must not happen."""

    def __init__(self, browser: "Browser", server: Served, token: str | None, expected: str, **settings: Any) -> None:
        self.server = server
        self.expected = expected
        self.faults: list[str] = []
        self.context: BrowserContext = browser.new_context(base_url=server.url, **settings)
        self.context.set_default_timeout(PATIENCE)
        self.context.on("request", lambda request: self._note_host(request.url))
        self.context.on("console", lambda message: self._note_message(message.type, message.text))
        if token:
            self.context.add_cookies(
                [{"name": "mlops_token", "value": token, "url": server.url, "httpOnly": True, "sameSite": "Strict"}]
            )

    def page(self) -> "Page":
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(f"failed: {error}"))
        return page

    def _note_host(self, url: str) -> None:
        if not url.startswith((f"{self.server.url}/", "data:", "file:")):
            self.faults.append(f"asked another host: {url}")

    def _note_message(self, kind: str, text: str) -> None:
        if kind == "error" and self.expected not in text:
            self.faults.append(f"console: {text}")


@pytest.fixture
def visit(browser: "Browser", server: Served, tokens: dict[str, str]) -> "Iterator[Any]":
    """Opens visits, of a reader unless said otherwise; nothing of what must not happen has happened at the end."""
    opened: list[Visit] = []

    def begin(role: str | None = "reader", expected: str = NOT_FOUND, **settings: Any) -> "Page":
        opened.append(Visit(browser, server, tokens[role] if role else None, expected, **settings))
        return opened[-1].page()

    yield begin
    for one in opened:
        one.context.close()
    assert [fault for one in opened for fault in one.faults] == []


def test_somebody_logs_in_searches_opens_a_table_and_copies_its_lines(visit: Any, tokens: dict[str, str]) -> None:
    page = visit(None, permissions=["clipboard-read", "clipboard-write"])
    page.goto("/features/order_trend")
    page.get_by_label("Token").fill("mlops_wrong")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").get_by_text("not known here").wait_for()
    page.get_by_label("Token").fill(tokens["reader"])
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="order_trend", level=1).wait_for()

    page.get_by_role("searchbox", name="Find features").fill("growth weekday")
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("result").wait_for()
    assert page.locator("mark").all_text_contents().count("growth") == 1
    page.get_by_role("link", name="growth_7d").click()
    assert page.url.endswith("/features/order_trend#column-growth_7d")

    assert page.get_by_role("status").text_content() == ""
    page.get_by_role("button", name="Copy the lines").click()
    page.get_by_role("status").get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#lines").text_content()
    assert LINES in copied
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Log in").wait_for()
    page.goto("/features")
    assert page.url.endswith("/login?next=%2Ffeatures")


def test_without_javascript_all_is_there_and_no_button_that_does_nothing(visit: Any, tokens: dict[str, str]) -> None:
    page = visit(None, java_script_enabled=False)
    page.goto("/")
    page.get_by_label("Token").fill(tokens["reader"])
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("searchbox").fill("order")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="team:analytics").click()
    page.get_by_role("link", name="order_trend").first.click()
    assert LINES in page.locator("#lines").inner_text()
    assert not page.get_by_role("button", name="Copy").is_visible()
    page.locator("#column-growth_7d summary").click()
    assert "INTERVAL '7' DAY" in page.locator("#column-growth_7d pre").inner_text()
    assert page.get_by_role("region", name="Picture of the column lineage").is_visible()
    page.get_by_role("navigation", name="Where this is").get_by_role("link").click()
    page.get_by_role("heading", name="All tables").wait_for()


def test_values_about_persons_are_masked_unless_the_scope_is_there(visit: Any) -> None:
    seen, masked = visit("data_scientist"), visit("reader")
    for page in (seen, masked):
        page.goto("/features/order_trend")
    row = "#column-log_units"
    assert seen.locator(f"{row} svg[role=img]").count() == 1
    values = seen.locator(f"{row} .samples li").all_text_contents()
    assert len(values) == 3
    assert masked.locator(f"{row} svg").count() == 0
    assert masked.locator(row).inner_text().count(MASK) == 2
    source = masked.content()
    assert not any(value in source for value in values)
    assert masked.get_by_text("are about persons, and masked here").is_visible()
    assert masked.locator("#column-growth_7d svg[role=img]").count() == 1


def test_a_keyboard_is_enough_from_the_search_to_a_table(visit: Any) -> None:
    page = visit()
    page.goto("/features")
    reached = []

    def tab_to(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                """() => { const e = document.activeElement, o = getComputedStyle(e);
                return [e.textContent.trim() || e.id, o.outlineStyle !== 'none' && parseFloat(o.outlineWidth) > 0] }"""
            )
            assert focused[1], f"the focus on {focused[0]} is not seen"
            reached.append(focused[0])
            if focused[0] == name:
                return
        raise AssertionError(f"{name} is not reached, only {reached}")

    tab_to("Skip to the content")
    assert page.get_by_role("link", name="Skip to the content").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    tab_to("q")
    page.keyboard.type("growth_7d")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="for “growth_7d”").wait_for()
    tab_to("Skip to the content")
    page.keyboard.press("Enter")
    tab_to("growth_7d")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="order_trend", level=1).wait_for()
    assert "mlops-assets" not in reached, "the links that stand on every page were skipped"


PAGES = ("/features", "/features?q=growth&owner=team%3Aanalytics", "/features?q=zebra", "/features/order_trend",
         "/features/orders", "/features/products", "/features/none", "/docs", "/models",
         "/models/orders_forecast")  # fmt: skip

CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] + under[i] * (1 - top[3]));
  const light = colour => {
    const [r, g, b] = colour.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    const chain = [];
    for (let e = element; e; e = e.parentElement) chain.unshift(rgba(getComputedStyle(e).backgroundColor));
    return chain.reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const card = element => {  // what is painted below a text of a drawing: the last shape before it that covers it
    const svg = element.closest('svg'), box = element.getBoundingClientRect();
    let colour = behind(svg);
    for (const shape of svg.querySelectorAll('rect')) {
      if (shape.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_PRECEDING) break;
      const b = shape.getBoundingClientRect();
      if (b.left <= box.left && b.right >= box.right - 1 && b.top <= box.top + 3 && b.bottom >= box.bottom - 3)
        colour = over(rgba(getComputedStyle(shape).fill), colour);
    }
    return colour;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || ['STYLE', 'SCRIPT', 'title', 'desc', 'style'].includes(element.tagName)) continue;
    if (element.closest('.hidden, .skip') || !element.getClientRects().length) continue;
    const drawn = element instanceof SVGElement, style = getComputedStyle(element);
    const under = drawn ? card(element) : behind(element);
    const ink = over(rgba(drawn ? style.fill : style.color), under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), text]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(visit: Any, scheme: str) -> None:
    page = visit("reader", color_scheme=scheme)
    stranger = visit(None, color_scheme=scheme)
    backgrounds = set()
    for one, path in ((stranger, "/login"), *((page, path) for path in PAGES)):
        one.goto(path)
        texts = one.evaluate(CONTRAST)
        assert len(texts) > 5
        assert [f"{contrast:.2f}: {text}" for contrast, text in texts if contrast < 4.5] == []
        backgrounds.add(one.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert len(backgrounds) == 1
    (colour,) = backgrounds
    assert (sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) < 100) == (scheme == "dark")


@pytest.mark.parametrize("width", [360, 1360])
def test_no_page_scrolls_sideways(visit: Any, width: int) -> None:
    page = visit("reader", viewport={"width": width, "height": 800})
    for path in PAGES:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        cut = page.evaluate(
            """width => [...document.querySelectorAll('main :is(h1, h2, p, input, button, th, td)')]
            .filter(e => e.getBoundingClientRect().right > width + 1).map(e => e.textContent.trim())""",
            width,
        )
        assert cut == [], path


NAMES = """() => {
  const problems = [];
  const levels = [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(h => +h.tagName[1]);
  if (levels[0] !== 1 || levels.filter(l => l === 1).length !== 1) problems.push(`headings ${levels}`);
  levels.forEach((level, i) => { if (i && level > levels[i - 1] + 1) problems.push(`heading skips to ${level}`); });
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  const twice = ids.filter((id, i) => ids.indexOf(id) !== i);
  if (twice.length) problems.push(`ids that are there twice: ${twice}`);
  for (const e of document.querySelectorAll('[aria-labelledby], [aria-describedby]'))
    for (const name of ['aria-labelledby', 'aria-describedby'])
      for (const id of (e.getAttribute(name) || '').split(' ').filter(Boolean))
        if (!document.getElementById(id)) problems.push(`${name} of nothing: ${id}`);
  for (const a of document.querySelectorAll('a[href^="#"]'))
    if (!document.getElementById(decodeURIComponent(a.getAttribute('href').slice(1))))
      problems.push(`leads nowhere: ${a.getAttribute('href')}`);
  if (document.documentElement.lang !== 'en') problems.push('no language');
  return problems;
}"""

CONTROLS = {"link", "button", "textbox", "searchbox", "heading", "img", "navigation", "search", "region", "figure"}


def test_a_screen_reader_finds_landmarks_headings_in_order_and_a_name_for_every_control(visit: Any) -> None:
    page, stranger = visit(), visit(None)
    for one, path in ((stranger, "/login"), *((page, path) for path in PAGES)):
        one.goto(path)
        assert one.evaluate(NAMES) == [], path
        roles = [(role, name) for role, name in _accessible(one)]
        unnamed = [role for role, name in roles if role in CONTROLS and not name]
        assert unnamed == [], path
        for landmark in ("banner", "main", "contentinfo", *(("search",) if one is page and path != "/docs" else ())):
            assert [role for role, _ in roles].count(landmark) == 1, (path, landmark)
    page.goto("/features/order_trend")
    named = set(_accessible(page))
    assert ("navigation", "On this page") in named
    assert ("table", "Columns") in named
    assert any(role == "rowheader" and name.startswith("growth_7d") for role, name in named)
    page.set_viewport_size({"width": 360, "height": 800})  # where rows are stacked, they stay rows of a table
    assert any(role == "rowheader" and name.startswith("growth_7d") for role, name in _accessible(page))


def _accessible(page: "Page") -> list[tuple[str, str]]:
    """Role and name of what assistive technology is told of."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    known = {"image": "img"}
    found = []
    for node in nodes:
        if not node.get("ignored"):
            role = node["role"]["value"]
            found.append((known.get(role, role), node.get("name", {}).get("value", "")))
    return found


def test_what_somebody_smuggled_in_would_not_run(visit: Any) -> None:
    page = visit(expected="violates the following Content Security Policy directive 'script-src")
    page.goto("/features/order_trend")
    blocked = page.evaluate(
        """() => new Promise(resolve => {
          document.addEventListener('securitypolicyviolation', event => resolve(event.effectiveDirective));
          const script = document.createElement('script'); script.textContent = 'document.title = "run"';
          document.body.append(script);
        })"""
    )
    assert blocked == "script-src-elem"
    assert page.title() == "order_trend · mlops-assets"


def test_a_model_is_found_in_the_list_and_a_period_chosen_without_javascript(visit: Any) -> None:
    page = visit("reader", java_script_enabled=False)
    page.goto("/features")
    page.get_by_role("link", name="Models").click()
    page.get_by_role("link", name="orders_forecast").click()
    page.get_by_role("heading", name="orders_forecast", level=1).wait_for()
    page.get_by_label("Tell of").select_option("2024-01-25")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("heading", name="2024-01-25", level=2).wait_for()
    assert page.url.endswith("/models/orders_forecast?period=2024-01-25#period")
    page.get_by_label("Trained at 2024-01-24").click()
    assert page.locator("[id^=training-2024-01-24]").is_visible()


def test_a_models_page_in_a_file_is_whole_without_a_server(visit: Any, project: Lived, tmp_path: Path) -> None:
    file = tmp_path / "orders_forecast.html"
    words = ["--project", str(project.project), "monitor", "orders_forecast", "-o", str(file)]
    done = CliRunner().invoke(main, words, env={HOME_VARIABLE: str(project.home.folder)})
    assert (done.exit_code, done.output) == (0, f"Wrote {file}\n")
    page = visit(None, viewport={"width": 360, "height": 800}, color_scheme="dark")
    page.goto(file.as_uri())
    page.get_by_role("heading", name="orders_forecast", level=1).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(NAMES) == []


def test_the_page_that_the_command_writes_is_whole_without_a_server(visit: Any, project: Lived, tmp_path: Path) -> None:
    file = tmp_path / "order_trend.html"
    words = ["--project", str(project.project), "features", "page", "order_trend", "-o", str(file)]
    done = CliRunner().invoke(main, words, env={HOME_VARIABLE: str(project.home.folder)})
    assert (done.exit_code, done.output) == (0, f"Wrote {file}\n")
    page = visit(None, viewport={"width": 360, "height": 800}, color_scheme="dark")
    page.goto(file.as_uri())
    page.get_by_role("heading", name="order_trend", level=1).wait_for()
    assert page.locator("#column-log_units").inner_text().count(MASK) == 2
    assert page.locator("#column-growth_7d svg[role=img]").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(NAMES) == []
