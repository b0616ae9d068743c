"""``mlops-assets models``: versions are shown and decided about by command, each mistake in one message."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import main
from mlops_assets.lakehouse.home import HOME_VARIABLE
from mlops_assets.models.records import candidates
from mlops_assets.platform import Platform
from mlops_assets.project.load import load_project
from mlops_assets_tests.conftest import Lived
from mlops_assets_tests.models.registering import Decided

pytestmark = pytest.mark.slow
MODEL = "orders_forecast"


@dataclass
class Commands:
    """A copy of the lived shop, whose model requires approval and has a version that waits."""

    project: Path
    made: Decided
    token: str

    def run(self, *arguments: str, token: bool = False) -> Result:
        given = {"MLOPS_TOKEN": self.token if token else ""}
        return CliRunner().invoke(main, ["--project", str(self.project), "models", *arguments], env=given)


@pytest.fixture
def commands(lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    copy = lived.copy(tmp_path / "copy")
    monkeypatch.setenv(HOME_VARIABLE, str(copy.home.folder))
    folder = copy.project / "shop" / "defs"
    file = folder / MODEL / "defs.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "  approval: required\n", encoding="utf-8")
    platform = Platform.of(load_project(folder), copy.home)
    (model,) = platform.project.models.values()
    made = Decided(platform, candidates(platform, model)[-1], model)
    made.version()
    made.later()
    return Commands(copy.project, made, platform.tokens.create("ana", ("approver",), None, platform.clock.now()))


def test_a_version_is_looked_at_approved_and_rolled_back_from(commands: Commands) -> None:
    listed = commands.run("list")
    assert listed.output == f"{MODEL}: champion version 1, challenger version 2; 2 versions\n", listed.output
    (shown,) = json.loads(commands.run("list", "--format", "json").output)
    assert (shown["champion"], shown["challenger"], shown["approval"]) == (1, 2, "required")
    told = commands.run("show", MODEL, "2").output
    assert "version 2: challenger\n" in told and commands.made.trained.verdict in told

    whole, brief = (commands.run("show", MODEL, *which).output for which in (["1"], []))
    assert "  evaluation on 168 rows of 24 keys, with 95 % intervals by 500 draws of the keys\n" in whole
    assert "  evaluation: mae of the candidate 0." in brief and "intervals" not in brief
    (shown,) = json.loads(commands.run("show", MODEL, "1", "--format", "json").output)
    assert shown["evaluation"]["figures"]["candidate"]["mae"]["value"] == commands.made.trained.level

    refused = commands.run("approve", MODEL, "2", "--reason", "better")
    assert refused.exit_code == 1 and refused.output.count("\n") == 1
    assert "'person at the machine' without the scope models:approve" in refused.output
    done = commands.run("approve", MODEL, "2", "--reason", "better", token=True)
    assert f"{MODEL}: version 2 serves since " in done.output and "approved by ana\n" in done.output, done.output
    assert "its training was asked for by " in done.output

    back = commands.run("rollback", MODEL, "--reason", "wrong prices", token=True)
    assert f"{MODEL}: version 1 serves since " in back.output and ", by ana" in back.output, back.output
    forth = commands.run("rollback", MODEL, "--to", "2", "--reason", "mended", token=True)
    assert "version 2 serves since " in forth.output and "(approved by ana at " in forth.output
    assert commands.run("retire", MODEL, "1", "--reason", "old", token=True).output.startswith(
        f"{MODEL}: version 1 was retired at "
    )
    (first, second) = json.loads(commands.run("show", MODEL, "--format", "json").output)
    assert (first["state"], second["state"]) == ("retired", "champion")
    assert [one["kind"] for one in second["transitions"]] == ["promotion", "rollback"]
    assert [(one["by"], one["reason"]) for one in second["approvals"]] == [("ana", "better")]


def test_a_file_is_scored_in_every_format(lived: Lived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(lived.home.folder))
    (tmp_path / "keys.csv").write_text("product,region\nalpha,north\nalpha,nowhere\n", encoding="utf-8")

    def score(file: str, *options: str) -> Result:
        arguments = ["--project", str(lived.project), "models", "score", MODEL, str(tmp_path / file), *options]
        return CliRunner().invoke(main, arguments)

    def told(*arguments: str) -> str:
        refused = score(*arguments)
        assert refused.exit_code == 1 and refused.output.count("\n") == 1, refused.output
        return refused.output

    scored = score("keys.csv")
    assert scored.exit_code == 0, scored.output
    header, first, second = scored.output.splitlines()
    assert header.startswith('"region","product",') and header.endswith(
        '"prediction","version","feature_versions","as_of"'
    )
    assert (first.count(","), first.split(",")[:2], second.split(",")[:2]) == (
        second.count(","), ['"north"', '"alpha"'], ['"nowhere"', '"alpha"'],
    )  # fmt: skip
    for file, following in (("a.parquet", "b.jsonl"), ("b.jsonl", "c.csv"), ("c.csv", "")):
        done = score("keys.csv", "--out", str(tmp_path / file))
        assert done.output == f"{tmp_path / file}: 2 rows by version 1 of {MODEL}\n"
        assert f"an unknown column 'prediction' in {file}" in told(file), following  # it was read, down to its columns
    (tmp_path / "wrong.jsonl").write_text('{"region": "north", "prodct": "a"}\n', encoding="utf-8")
    assert "an unknown column 'prodct' in wrong.jsonl" in told("wrong.jsonl") and "'product'" in told("wrong.jsonl")
    (tmp_path / "wrong.jsonl").write_text('{"region": "north", "product": 7}\n', encoding="utf-8")
    assert "7 in column 'product', line 1 of wrong.jsonl" in told("wrong.jsonl")
    (tmp_path / "keys.txt").touch()
    assert "a file keys.txt. Expected: one of: *.csv, *.jsonl, *.parquet" in told("keys.txt")
    assert "the file none.csv cannot be read" in told("none.csv")
    assert "to write. Expected: one of: *.csv, *.jsonl, *.parquet" in told(
        "keys.csv", "--out", str(tmp_path / "x.xlsx")
    )


def test_what_nobody_wants_is_rejected_and_deleted(commands: Commands) -> None:
    assert " was rejected at " in commands.run("reject", MODEL, "2", "--reason", "worse", token=True).output
    assert " was deleted at " in commands.run("delete", MODEL, "2", "--reason", "worse", token=True).output
    shown = commands.run("show", MODEL, "2").output
    assert "version 2: deleted\n" in shown and "rejected at " in shown and "deletion " in shown
    served = commands.run("delete", MODEL, "1", "--reason", "old", token=True)
    assert served.exit_code == 1 and "is never deleted" in served.output
    assert commands.run("prune", MODEL, "--dry-run").output == "0 candidates would be deleted; all are kept\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "orders_forcast"], "orders_forecast"),
        (["show", MODEL, "7"], "no version 7 of 'orders_forecast'"),
        (["approve", MODEL, "2", "--reason", " "], "no reason"),
        (["rollback", MODEL, "--to", "2", "--reason", "why"], "is challenger"),
        (["prune", MODEL], "without the scope models:approve"),
    ],
)
def test_a_mistake_is_one_message(commands: Commands, arguments: list[str], told: str) -> None:
    done = commands.run(*arguments, token=arguments[0] != "prune")
    assert done.exit_code == 1
    assert done.output.startswith("Error: Found: ") and done.output.count("\n") == 1 and told in done.output
