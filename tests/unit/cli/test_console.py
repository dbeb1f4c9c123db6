from __future__ import annotations

import json

import pytest

from bailiwick.backends.model import UpstreamFailed, UpstreamRefused
from bailiwick.cli.console import fail
from bailiwick.errors import BailiwickError, GateFailed, Unavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GateFailed("held"), 7),
        (Unavailable("away"), 8),
        (UpstreamFailed("away"), 8),
        (UpstreamRefused("no"), 2),
        (BailiwickError("other"), 1),
    ],
)
def test_fail__error_or_one_derived_from_it__its_exit_code(
    error: BailiwickError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        fail(error, as_json=True)
    assert ended.value.code == code
    assert json.loads(capsys.readouterr().err)["error"]["message"] == error.message
