"""Private training over REST: charged and carded, or refused with what the budget holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from learning_examples import ADA, examples, write_csv
from private_rows import import_units, open_budget

from bailiwick.api.app import create_api
from bailiwick.domains.model import Domain
from bailiwick.platform import Platform
from bailiwick.privacy.accounts import AccountKey
from bailiwick.settings import Settings

pytest.importorskip("opendp")

PRIVATE = "/v1/training/runs/private"
ASKED: dict[str, Any] = {
    "domain": "bank",
    "dataset": "bank",
    "epsilon": "1",
    "delta": "1e-6",
    "settings": {"features": 64, "steps": 2},
}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(Settings(home=tmp_path / "home"))
    platform.domains.create(Domain("bank", "Bank", "bank-agent"), ADA)
    import_units(platform.datasets, write_csv(tmp_path / "bank.csv", examples(90)))
    open_budget(platform.privacy, "bank", epsilon="1.5")
    yield platform
    platform.close()


@pytest.fixture
def client(platform: Platform) -> Iterator[TestClient]:
    with TestClient(create_api(platform)) as client:
        yield client


def spent(platform: Platform) -> int:
    return platform.privacy.ledger.balance(AccountKey("bank-customers", "bank")).spent


def test_train_privately__within_then_over_budget__carded_then_refused_with_the_balance(
    client: TestClient, platform: Platform
) -> None:
    made = client.post(PRIVATE, json=ASKED)
    assert made.status_code == 201, made.text
    version = platform.registry.get(made.json()["version"])
    assert (version.card["privacy"]["epsilon"], version.card["privacy"]["unit"]) == (1.0, "unit")
    assert version.card["privacy"]["not_protected"]
    assert spent(platform) == 10**9

    refused = client.post(PRIVATE, json=ASKED)
    assert refused.status_code == 403
    assert refused.headers["content-type"].startswith("application/problem+json")
    problem = refused.json()
    assert problem["code"] == "budget_exhausted"
    assert {name: problem[name] for name in ("requested", "spent", "held", "remaining")} == {
        "requested": "epsilon 1, delta 0.000001",
        "spent": "epsilon 1, delta 0.000001",
        "held": "epsilon 0, delta 0",
        "remaining": "epsilon 0.5, delta 0.000999",
    }
    assert spent(platform) == 10**9
    assert [run.version for run in platform.training.list("bank")] == [version.id]


@pytest.mark.parametrize(
    ("changed", "status", "named"),
    [
        ({"epsilon": "NaN"}, 422, "epsilon"),
        ({"epsilon": "-1"}, 422, "epsilon"),
        ({"delta": "1"}, 422, "delta"),
        ({"namespace": "others"}, 404, None),
        ({"domain": "cards"}, 404, "id"),
        ({"dataset": "none"}, 404, "dataset"),
        ({"settings": {"momentum": 1}}, 422, None),
        ({"seed": 1}, 422, None),
    ],
)
def test_train_privately__bad_request__a_problem_that_names_it(
    client: TestClient, platform: Platform, changed: dict[str, Any], status: int, named: str | None
) -> None:
    found = client.post(PRIVATE, json={**ASKED, **changed})
    assert found.status_code == status, found.text
    if named:
        assert found.json()["what"] == named
    assert spent(platform) == 0
    assert platform.training.list("bank") == []
