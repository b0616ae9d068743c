"""Reads a page as a program can: its links, its text, and what lies in an element."""

from html.parser import HTMLParser

WITHOUT_END = {"meta", "link", "input", "br", "img"}
BLOCKS = {"li", "p", "h1", "h2", "h3", "dt", "dd", "td", "th", "div", "summary", "pre"}


class ReadPage(HTMLParser):
    """A page that was read.

    ``links`` are the texts of all links by address, ``text`` is all that is shown, ``tags`` are the names of all
    elements, and ``attributes`` all their attributes.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.links: dict[str, list[str]] = {}
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self._open: list[str] = []
        self._link: str | None = None
        self._parts: list[str] = []
        self.feed(page)
        self.close()

    @property
    def text(self) -> str:
        return " ".join("".join(self._parts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in WITHOUT_END:
            self._open.append(tag)
        if tag in BLOCKS:
            self._parts.append(" ")
        if tag == "a":
            self._link = dict(attrs)["href"] or ""
            self.links.setdefault(self._link, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> ends something else"
        if tag == "a":
            self._link = None
        if tag in BLOCKS:
            self._parts.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("style", "script"):
            return
        self._parts.append(data)
        if self._link is not None:
            texts = self.links[self._link]
            texts[-1] = " ".join(f"{texts[-1]}{data}".split(" "))
