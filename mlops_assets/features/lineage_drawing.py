"""Column lineage as a drawing: one self-contained SVG file, tables from left to right, an arrow for a pair of columns.

Each table stands as far to the right as what reads it allows, so that few arrows are long. An arrow that passes a
column of tables goes through a lane kept free between them, with the other arrows of its two tables. Texts are texts,
every arrow names its ends, and colours follow the reader's light or dark preference. Where it cannot be told which
column of a table it is, one arrow leads from the table's head. The style and ids are its own, so that the drawing can
stand inside a page.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from xml.sax.saxutils import escape, quoteattr

from mlops_assets.features.lineage import ColumnEdge, LineageGraph, TableColumn

ROW, HEAD, PADDING = 22, 30, 6
GAP, LAYER_GAP, MARGIN = 26, 150, 24
LANE_GAP = 5
CHARACTER = 7.3
"""Width of a character at 12 px in the widest of the monospaced fonts that the style asks for."""

SWEEPS = 8
"""Passes over the layers, to the right and back, that put neighbours at neighbouring heights."""

STYLE = """
.lineage { --ink: #1f2933; --soft: #5b6673; --line: #c6ced8; --card: #ffffff; --head: #eef2f6; --page: #f8fafb;
  --asked: #fff3c4; --copied: #8795a5; --computed: #2176c7; --aggregated: #8a3fc1; --learned: #c2571a;
  --unknown: #c0263c; --rows: #5c8a1c; }
@media (prefers-color-scheme: dark) {
  .lineage { --ink: #e6ebf0; --soft: #9aa7b5; --line: #3d4956; --card: #1e262e; --head: #2a343f; --page: #151b21;
    --asked: #4d4320; --copied: #7d8b9a; --computed: #5fb0f5; --aggregated: #c48cf0; --learned: #f0965a;
    --unknown: #ff7385; --rows: #a3cf62; }
}
.lineage text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: var(--ink); }
.lineage .head { font-weight: 600; }
.lineage .legend text { fill: var(--soft); }
.lineage .page { fill: var(--page); }
.lineage .card { fill: var(--card); stroke: var(--line); }
.lineage .bar { fill: var(--head); }
.lineage .asked { fill: var(--asked); }
.lineage .edge { fill: none; stroke-width: 1.4; opacity: 0.85; }
.lineage .edge:hover { stroke-width: 3.5; opacity: 1; }
.lineage .copied { stroke: var(--copied); }
.lineage .computed { stroke: var(--computed); }
.lineage .aggregated { stroke: var(--aggregated); }
.lineage .learned { stroke: var(--learned); stroke-dasharray: 7 3; }
.lineage .unknown { stroke: var(--unknown); stroke-dasharray: 2 3; }
.lineage .rows { stroke: var(--rows); stroke-dasharray: 2 3; stroke-width: 1; }
"""
STYLE += "".join(
    f".lineage .tip-{kind} {{ fill: var(--{kind}); }}\n"
    for kind in ("copied", "computed", "aggregated", "learned", "unknown", "rows")
)
LEGEND = {
    "copied": "copied or renamed",
    "computed": "computed from the same row",
    "aggregated": "aggregated, or from other rows",
    "learned": "learned in training",
    "unknown": "cannot be told",
    "rows": "decides which rows are used",
}


@dataclass
class _Box:
    """A table, or (without columns) a lane for the arrows of two tables."""

    layer: int
    table: str
    columns: tuple[str, ...] = ()
    lanes: tuple[ColumnEdge, ...] = ()
    x: float = 0
    y: float = 0
    width: float = 0
    neighbours: "dict[str, list[_Port]]" = field(default_factory=lambda: {"left": [], "right": []})

    @property
    def height(self) -> float:
        if not self.columns:
            return LANE_GAP * max(len(self.lanes) - 1, 0)
        return HEAD + ROW * len(self.columns) + PADDING


@dataclass(frozen=True)
class _Port:
    """A place where an arrow touches a box: the middle of a column's row, or its own line in a lane."""

    box: _Box
    offset: float

    @property
    def y(self) -> float:
        return self.box.y + self.offset


def as_svg(graph: LineageGraph, asked: Sequence[TableColumn]) -> str:
    """The graph as a drawing.

    Args:
        graph: What `LineageGraph.around` gave.
        asked: The columns to mark.
    """
    drawing = _Drawing(graph)
    drawing.arrange()
    return drawing.svg(frozenset(asked))


class _Drawing:
    def __init__(self, graph: LineageGraph) -> None:
        self.graph = graph
        self.edges = tuple(dict.fromkeys(_drawn(edge) for edge in graph.edges))
        layers = _layers(graph)
        self.tables = {
            table: _Box(layers[table], table, columns, width=_width(table, columns))
            for table, columns in graph.tables.items()
        }
        self.layers: list[list[_Box]] = [[] for _ in range(max(layers.values(), default=0) + 1)]
        for box in self.tables.values():
            self.layers[box.layer].append(box)
        self.routes: dict[ColumnEdge, list[_Port]] = {}
        self._route()

    def _route(self) -> None:
        """The ports of each arrow from its source to its target, with lanes through the layers between."""
        together: dict[tuple[str, str], list[ColumnEdge]] = {}
        for edge in self.edges:
            together.setdefault((edge.source.table, edge.target.table), []).append(edge)
        for (source, target), edges in together.items():
            begin, end = self.tables[source], self.tables[target]
            lanes = [
                _Box(layer, f"{source} to {target}", lanes=tuple(edges)) for layer in range(begin.layer + 1, end.layer)
            ]
            for lane in lanes:
                self.layers[lane.layer].append(lane)
            for number, edge in enumerate(edges):
                middle = [_Port(lane, LANE_GAP * number) for lane in lanes]
                self.routes[edge] = [_port(begin, edge.source.column), *middle, _port(end, edge.target.column)]
        for route in self.routes.values():
            for left, right in zip(route, route[1:], strict=False):
                if left.box is not right.box:
                    left.box.neighbours["right"].append(right)
                    right.box.neighbours["left"].append(left)

    def arrange(self) -> None:
        """Give every box its place."""
        for layer in self.layers:
            _stack(layer, 0)
        for sweep in range(SWEEPS):
            side = "left" if sweep % 2 == 0 else "right"
            for layer in self.layers if side == "left" else reversed(self.layers):
                wished = {id(box): _wished(box, (side,)) for box in layer}
                layer.sort(key=lambda box: wished[id(box)] + box.height / 2)
                _settle(layer, [wished[id(box)] for box in layer])
        for layer in reversed(self.layers):  # the last word: every box near what it is joined to on both sides
            _settle(layer, [_wished(box, ("left", "right")) for box in layer])
        top = min((box.y for layer in self.layers for box in layer), default=0)
        x: float = MARGIN
        for layer in self.layers:
            width = max((box.width for box in layer), default=0)
            for box in layer:
                box.x, box.y = x, box.y - top + MARGIN
                box.width = width
            x += width + LAYER_GAP

    def svg(self, asked: frozenset[TableColumn]) -> str:
        """The text of the file."""
        boxes = [box for layer in self.layers for box in layer]
        used = [how for how in LEGEND if any(_kind(edge) == how for edge in self.edges)]
        inside = any(edge.source.table == edge.target.table for edge in self.edges)
        width = max((box.x + box.width for box in boxes), default=0) + MARGIN + (LAYER_GAP / 2 if inside else 0)
        bottom = max((box.y + box.height for box in boxes), default=0) + MARGIN
        legend = _legend(used, bottom + 12)
        width = max(width, MARGIN * 2 + sum(_legend_width(how) for how in used))
        height = bottom + (40 if used else 0)
        title = f"Column lineage of {_in_words(asked)}"
        described = f"{len(self.graph.tables)} tables from left to right, {len(self.edges)} arrows between columns."
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" class="lineage" viewBox="0 0 {width:.0f} {height:.0f}" '
                f'width="{width:.0f}" height="{height:.0f}" role="graphics-document document" '
                'aria-labelledby="lineage-title lineage-description">',
                f'<title id="lineage-title">{escape(title)}</title>',
                f'<desc id="lineage-description">{escape(described)}</desc>',
                f"<style>{STYLE}</style>",
                *(_head(how) for how in used),
                f'<rect class="page" width="{width:.0f}" height="{height:.0f}"/>',
                *(_arrow(edge, self.routes[edge]) for edge in sorted(self.edges, key=_over)),
                *(_card(box, asked) for box in self.tables.values()),
                *legend,
                "</svg>",
            ]
        )


def _layers(graph: LineageGraph) -> dict[str, int]:
    """For each table the number of its column: as far right as what reads it allows."""
    readers: dict[str, set[str]] = {table: set() for table in graph.tables}
    for edge in graph.edges:
        if edge.source.table != edge.target.table:
            readers[edge.source.table].add(edge.target.table)
    from_right: dict[str, int] = {}
    for table in reversed(list(graph.tables)):  # tables stand before those that read them
        from_right[table] = 1 + max((from_right[reader] for reader in readers[table]), default=-1)
    most = max(from_right.values(), default=0)
    return {table: most - distance for table, distance in from_right.items()}


_HEAD = ""
"""Stands for the head of a table among its columns."""


def _drawn(edge: ColumnEdge) -> ColumnEdge:
    if edge.how == "unknown":
        return ColumnEdge(TableColumn(edge.source.table, _HEAD), edge.target, edge.how)
    return edge


def _width(table: str, columns: Iterable[str]) -> float:
    return max(len(table) * CHARACTER * 1.05, *(len(column) * CHARACTER for column in columns)) + 28


def _port(box: _Box, column: str) -> _Port:
    if column == _HEAD:
        return _Port(box, HEAD / 2)
    return _Port(box, HEAD + ROW * (box.columns.index(column) + 0.5))


def _wished(box: _Box, sides: Sequence[str]) -> float:
    """Where a box would stand, with its middle at the mean height of what it is joined to."""
    heights = [port.y for side in sides for port in box.neighbours[side]]
    return fmean(heights) - box.height / 2 if heights else box.y


def _stack(layer: Sequence[_Box], top: float) -> None:
    for box in layer:
        box.y = top
        top += box.height + GAP


def _settle(layer: Sequence[_Box], wished: Sequence[float]) -> None:
    """Place boxes near their wishes, in their order and without overlap; those in each other's way share the loss."""
    groups: list[tuple[float, float, list[_Box]]] = []  # top, height, boxes; each group moves as one
    for box, top in zip(layer, wished, strict=True):
        group = (top, box.height, [box])
        while groups and groups[-1][0] + groups[-1][1] + GAP > group[0]:
            above_top, above_height, above = groups.pop()
            height = above_height + GAP + group[1]
            weight = len(above) / (len(above) + len(group[2]))
            top = above_top * weight + (group[0] - above_height - GAP) * (1 - weight)
            group = (top, height, above + group[2])
        groups.append(group)
    for top, _, boxes in groups:
        _stack(boxes, top)


def _kind(edge: ColumnEdge) -> str:
    return "copied" if edge.how == "renamed" else edge.how


def _over(edge: ColumnEdge) -> int:
    """Arrows of values are drawn over those of rows."""
    return 0 if edge.how == "rows" else 1


def _arrow(edge: ColumnEdge, route: Sequence[_Port]) -> str:
    begin, end = route[0], route[-1]
    if begin.box is end.box:  # out to the right and back
        x, out = begin.box.x + begin.box.width, 18 + abs(begin.y - end.y) * 0.12
        path = f"M{x:.1f} {begin.y:.1f} C{x + out:.1f} {begin.y:.1f} {x + out:.1f} {end.y:.1f} {x:.1f} {end.y:.1f}"
    else:
        x, y = begin.box.x + begin.box.width, begin.y
        path = f"M{x:.1f} {y:.1f}"
        for port in route[1:]:
            half = (port.box.x - x) / 2
            path += f" C{x + half:.1f} {y:.1f} {port.box.x - half:.1f} {port.y:.1f} {port.box.x:.1f} {port.y:.1f}"
            x, y = port.box.x, port.y
            if not port.box.columns:
                x += port.box.width
                path += f" H{x:.1f}"
    source = edge.source if edge.source.column != _HEAD else f"Any column of {edge.source.table}"
    words = f"{source} to {edge.target}: {edge.how}"
    kind = _kind(edge)
    return (
        f'<path class="edge {kind}" d="{path}" marker-end="url(#lineage-{kind})"><title>{escape(words)}</title></path>'
    )


def _head(kind: str) -> str:
    """The head of the arrows of one kind."""
    return (
        f'<marker id="lineage-{kind}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="tip-{kind}" d="M0 1 L8 4 L0 7 z"/></marker>'
    )


def _card(box: _Box, asked: frozenset[TableColumn]) -> str:
    lines = [
        f'<g role="group" aria-label={quoteattr(f"Table {box.table}")}>',
        _rectangle("card", box.x, box.y, box.width, box.height, 6),
        _rectangle("bar", box.x + 1, box.y + 1, box.width - 2, HEAD - 4, 5),
        f'<text class="head" x="{box.x + 12:.1f}" y="{box.y + 19:.1f}">{escape(box.table)}</text>',
    ]
    for number, column in enumerate(box.columns):
        top = box.y + HEAD + ROW * number
        if TableColumn(box.table, column) in asked:
            lines.append(_rectangle("asked", box.x + 4, top + 1, box.width - 8, ROW - 2, 3))
        lines.append(f'<text x="{box.x + 12:.1f}" y="{top + 15:.1f}">{escape(column)}</text>')
    return "\n".join([*lines, "</g>"])


def _rectangle(kind: str, x: float, y: float, width: float, height: float, round_: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{round_}"/>'


def _legend_width(how: str) -> float:
    return 34 + len(LEGEND[how]) * CHARACTER + 24


def _legend(used: Sequence[str], y: float) -> list[str]:
    lines, x = ['<g class="legend">'], float(MARGIN)
    for how in used:
        lines.append(f'<path class="edge {how}" d="M{x:.1f} {y:.1f} h26"/>')
        lines.append(f'<text x="{x + 34:.1f}" y="{y + 4:.1f}">{escape(LEGEND[how])}</text>')
        x += _legend_width(how)
    return [*lines, "</g>"]


def _in_words(asked: Iterable[TableColumn]) -> str:
    by_table: dict[str, list[str]] = {}
    for column in sorted(asked):
        by_table.setdefault(column.table, []).append(column.column)
    return "; ".join(
        f"{table}.{columns[0]}" if len(columns) == 1 else f"{table} ({len(columns)} columns)"
        for table, columns in by_table.items()
    )
