"""What `docs/gateway.md` says is what was measured."""

from __future__ import annotations

import pytest

from benchmarks import gateway_figures
from benchmarks.figures import renewed


@pytest.mark.parametrize("name", gateway_figures.RESULTS_SHOWN)
def test_page__holds_the_committed_figures(name: str) -> None:
    page = gateway_figures.PAGE.read_text("utf-8")
    assert f"<!-- figures: {name} -->\n{gateway_figures.table(name)}<!-- end -->" in page
    assert renewed(page, gateway_figures.table) == page
