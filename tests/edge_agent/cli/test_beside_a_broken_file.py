"""Who wants to see or stop the running service is not kept from it by a mistake in a file that it does not need."""
# ruff: noqa: ANN001 - fixtures are known by their names

from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_agent import local_api
from edge_agent.cli import main

BY = ["--by", "a", "--reason", "b"]
VERBS = [
    ["status"],
    ["plan"],
    ["upload", "status"],
    ["mode", "monitor", *BY],
    ["override", "stop", "hp1", "--until", "2h", *BY],
    ["override", "release", *BY],
    ["release", "hp1", *BY],
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str]]:
    """What the service would have been asked; nobody answers."""
    questions: list[tuple[Path, str]] = []

    def ask(state_dir: Path, verb: str, **_arguments: object) -> dict[str, object]:
        questions.append((state_dir, verb))
        raise local_api.ServiceUnreachable("nobody answers", place=None)

    monkeypatch.setattr(local_api, "ask", ask)
    return questions


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb[:2]))
@pytest.mark.parametrize("file", ["tariff.yaml", "devices.yaml", "uplink.yaml"])
def test_another_file_may_be_broken(plant, asked: list[tuple[Path, str]], verb: list[str], file: str) -> None:
    (plant.folder / file).write_text("prices: [", encoding="utf-8")
    result = CliRunner().invoke(main, [*verb, "--config", str(plant.folder)])
    assert len(asked) == 1, result.output
    assert file not in result.output


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb[:2]))
@pytest.mark.parametrize("zone", ["[", "Asia/Shanghia"])
def test_a_mistake_in_the_site_file_is_told(plant, asked: list[tuple[Path, str]], verb: list[str], zone: str) -> None:
    plant.replace("site.yaml", "timezone: Asia/Shanghai", f"timezone: {zone}")
    result = CliRunner().invoke(main, [*verb, "--config", str(plant.folder)])
    assert (result.exit_code, asked) == (2, [])
    assert "site.yaml:" in result.output


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, asked: list[tuple[Path, str]]) -> None:
    result = CliRunner().invoke(main, ["status", "--config", str(tmp_path / "none")])
    assert (result.exit_code, asked) == (2, [])
    assert "none" in result.output
