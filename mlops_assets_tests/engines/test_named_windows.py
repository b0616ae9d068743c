"""Named windows, written out where they are used."""

import pytest

from mlops_assets.engines.named_windows import windows_written_out

NAMED = "FROM t WINDOW w AS (PARTITION BY b), v AS (w ORDER BY c)"


@pytest.mark.parametrize(
    ("used", "over"),
    [
        ("sum(a) OVER w AS x", "SUM(a) OVER (PARTITION BY b) AS x"),
        ("sum(a) OVER w", "SUM(a) OVER (PARTITION BY b)"),
        ("rank() OVER (w ORDER BY a) AS x", "RANK() OVER (PARTITION BY b ORDER BY a) AS x"),
        ("sum(a) OVER v AS x", "SUM(a) OVER (PARTITION BY b ORDER BY c) AS x"),
        (
            "sum(a) OVER (v RANGE BETWEEN 2 PRECEDING AND CURRENT ROW) AS x",
            "SUM(a) OVER (PARTITION BY b ORDER BY c RANGE BETWEEN 2 PRECEDING AND CURRENT ROW) AS x",
        ),
        ("sum(a) OVER (ORDER BY c) AS x", "SUM(a) OVER (ORDER BY c) AS x"),
    ],
)
def test_a_window_takes_what_its_name_and_the_names_below_it_define(used: str, over: str) -> None:
    from sqlglot import parse_one

    tree = windows_written_out(parse_one(f"SELECT {used} {NAMED}", read="duckdb"))
    assert tree.sql("duckdb").upper() == f"SELECT {over} FROM t".upper()


def test_a_name_means_the_window_of_its_own_select() -> None:
    from sqlglot import parse_one

    inner = "SELECT a, b, c, sum(a) OVER w AS s FROM t WINDOW w AS (ORDER BY c)"
    tree = parse_one(f"SELECT max(s) OVER w AS x FROM ({inner}) AS t WINDOW w AS (PARTITION BY b)", read="duckdb")
    assert windows_written_out(tree).sql("duckdb") == (
        "SELECT MAX(s) OVER (PARTITION BY b) AS x FROM (SELECT a, b, c, SUM(a) OVER (ORDER BY c) AS s FROM t) AS t"
    )
