"""`bailiwick domain`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bailiwick.cli.main import app

Home = Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.chdir(tmp_path)
    for name in ("BAILIWICK_HOME", "BAILIWICK_DATABASE_URL", "BAILIWICK_CONFIG", "BAILIWICK_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["domain", *arguments], input=stdin)


def done(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_create__inline_options__then_show_and_list(home: Home) -> None:
    created = run("create", "cards", "--name", "Cards", "--keyword", "card", "--keyword", "pin", "--layer", "products")

    assert created.exit_code == 0
    assert "Created cards (draft, revision 1)." in created.stdout
    assert "Next: bailiwick domain activate cards" in created.stdout
    config = done("show", "cards")["config"]
    assert (config["name"], config["keywords"], config["layer"]) == ("Cards", ["card", "pin"], "products")
    assert "cards" in run("list").stdout


def test_create__file_and_options__options_win(home: Home) -> None:
    (home / "cards.json").write_text('{"name": "From file", "tags": ["pan"]}')

    config = done("create", "cards", "--file", "cards.json", "--name", "From option", "--activate")["config"]

    assert (config["name"], config["tags"]) == ("From option", ["pan"])


def test_update__edits__change_only_what_is_named(home: Home) -> None:
    done("create", "cards", "--keyword", "card", "--keyword", "pin", "--set", "attention_weights.pin=2")

    updated = done("update", "cards", "--add-keyword", "tap", "--remove-keyword", "PIN", "--set", "team=retail")

    assert updated["revision"] == 2
    config = updated["config"]
    assert (config["keywords"], config["team"], config["attention_weights"]) == (["card", "tap"], "retail", {})
    assert "is like that already" in run("update", "cards", "--team", "retail").stdout
    undone = done("update", "cards", "--from-revision", "1", "--reason", "back")
    assert (undone["revision"], undone["reason"], undone["config"]["team"]) == (3, "back", "default")
    assert {each["field"] for each in done("diff", "cards", "--from", "2")} == {"keywords", "team", "attention_weights"}


def test_update__backend_and_back__leaves_no_address_behind(home: Home) -> None:
    done("create", "cards", "--backend", "openai-compatible", "--base-url", "http://llm:8000/v1", "--model", "m")

    backend = done("update", "cards", "--backend", "local")["config"]["backend"]

    assert (backend["kind"], backend["base_url"], backend["model"]) == ("local", None, None)


def test_domain__whole_life__history_stays(home: Home) -> None:
    done("create", "cards")
    done("activate", "cards")
    done("archive", "cards", "--reason", "merged into accounts")
    assert run("delete", "cards").exit_code == 4
    done("delete", "cards", "--force")

    assert [each["lifecycle"] for each in done("history", "cards")] == ["deleted", "archived", "active", "draft"]
    shown = run("history", "cards").stdout
    assert "lifecycle" in shown
    assert run("show", "cards").exit_code == 3


def test_export__and_import__file_standard_input_and_dry_run(home: Home) -> None:
    done("create", "cards", "--keyword", "card", "--activate")
    done("default", "cards")
    done("export", "--output", "domains.json")
    text = (home / "domains.json").read_text()
    assert json.loads(run("export").stdout) == json.loads(text)
    assert [path.name for path in home.iterdir() if path.name.startswith(".domains.json")] == []

    renamed = text.replace('"cards"', '"plastic"').replace("agent-cards", "agent-plastic")
    assert "Would create 1" in run("import", "-", "--dry-run", stdin=renamed).stdout
    assert run("show", "plastic").exit_code == 3
    assert run("import", "-", stdin=renamed).exit_code == 0
    assert done("default") == {"default_domain": "plastic"}
    assert done("import", "domains.json")["unchanged"] == ["cards"]


REFUSED = {
    "no such file": (["import", "nope.json"], 2, "nope.json"),
    "a folder": (["import", "."], 2, "cannot be read"),
    "half a file": (["import", "half.json"], 2, "half.json:1:"),
    "bad field": (["import", "bad.json"], 2, "bad.json: domains.b.tags"),
    "document for one domain": (["create", "x", "--file", "bad.json"], 2, "domain import bad.json"),
    "list for one domain": (["create", "x", "--file", "list.json"], 2, "list.json"),
    "bad assignment": (["create", "x", "--set", "team"], 2, "FIELD=VALUE"),
    "unknown field": (["create", "x", "--set", "teem=a"], 2, "options: domains.x.teem"),
    "bad id": (["create", "X"], 2, "lower-case"),
    "word not there": (["update", "cards", "--remove-keyword", "zzz"], 2, "hold no 'zzz'"),
    "unknown domain": (["update", "nope", "--team", "a"], 3, "no domain 'nope'"),
    "stale": (["update", "cards", "--team", "a", "--expect-revision", "9"], 4, "not 9"),
    "nobody there": (["import", "http://127.0.0.1:1"], 8, "does not answer"),
    "no folder to export to": (["export", "-o", "no/such/domains.json"], 2, "cannot be written"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_command__refused__exit_code_place_and_nothing_changed(case: str, home: Home) -> None:
    (home / "half.json").write_text('{"domains": {"a": ')
    (home / "bad.json").write_text('{"domains": {"a": {}, "b": {"tags": 1}}}')
    (home / "list.json").write_text("[]")
    done("create", "cards", "--keyword", "card")
    before = done("list")
    arguments, code, words = REFUSED[case]

    result = run(*arguments, "--json")

    assert result.exit_code == code, result.output
    assert words in json.dumps(json.loads(result.stderr))
    assert done("list") == before


CONFIG = """
model_list:
  - model_name: chat
    litellm_params: {model: hosted_vllm/llama, api_base: http://10.0.0.1:8000/v1, api_key: sk-do-not-tell, rpm: 60}
  - model_name: claude
    litellm_params: {model: anthropic/claude-x}
general_settings: {master_key: sk-do-not-tell}
"""


def test_import_litellm__a_proxys_configuration__is_imported_or_tried_or_written(home: Home) -> None:
    (home / "config.yaml").write_text(CONFIG)
    tried = run("import-litellm", "config.yaml", "--dry-run")
    assert tried.exit_code == 0
    assert "Would create 1" in tried.stdout
    assert done("list") == []
    written = done("import-litellm", "config.yaml", "-o", "domains.json")
    assert (written["file"], written["domains"]) == ("domains.json", 1)
    assert done("list") == []
    told = done("import-litellm", "config.yaml")
    assert told["outcome"]["created"] == ["chat"]
    assert told["commands"] == ["bailiwick key set --of-domain chat --rpm 60"]
    assert any(note["where"] == "model_list[1] 'claude'" for note in told["notes"])
    assert done("import", "domains.json")["unchanged"] == ["chat"]
    assert "do-not-tell" not in tried.output + json.dumps([told, written]) + (home / "domains.json").read_text()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("config.yaml", "model_list: [", "config.yaml:1:14"),
        ("config.yaml", "a: 2026-13-45", "not YAML"),
        ("config.yaml", "model_list: []", "model_list"),
        ("config.json", "{", "not JSON"),
        ("config.json", '{"model_list": [{"model_name": 1}]}', "model_list[0]"),
    ],
)
def test_import_litellm__what_is_no_configuration__is_refused_with_the_place(
    home: Home, name: str, text: str, words: str
) -> None:
    (home / name).write_text(text)
    result = run("import-litellm", name)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output
