"""Every step from every lifecycle."""

from __future__ import annotations

import pytest

from bailiwick.domains.lifecycle import Step, after_step
from bailiwick.domains.model import Lifecycle
from bailiwick.errors import Conflict, NotFound

DRAFT, ACTIVE, ARCHIVED, DELETED = Lifecycle
REACHED = {
    (None, Step.CREATE): DRAFT,
    (DELETED, Step.CREATE): DRAFT,
    (DRAFT, Step.UPDATE): DRAFT,
    (ACTIVE, Step.UPDATE): ACTIVE,
    (ARCHIVED, Step.UPDATE): ARCHIVED,
    **{(each, Step.ACTIVATE): ACTIVE for each in (DRAFT, ACTIVE, ARCHIVED)},
    **{(each, Step.ARCHIVE): ARCHIVED for each in (DRAFT, ACTIVE, ARCHIVED)},
    **{(each, Step.DELETE): DELETED for each in (DRAFT, ACTIVE, ARCHIVED)},
}


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("current", [None, *Lifecycle])
def test_step__from_each_lifecycle__leads_on_or_is_refused(current: Lifecycle | None, step: Step) -> None:
    expected = REACHED.get((current, step))

    if expected is None:
        with pytest.raises((Conflict, NotFound)):
            after_step("cards", current, step, force=True)
    else:
        assert after_step("cards", current, step, force=True) is expected


@pytest.mark.parametrize("current", [DRAFT, ACTIVE, ARCHIVED])
def test_delete__without_force__is_a_conflict(current: Lifecycle) -> None:
    with pytest.raises(Conflict, match="needs force"):
        after_step("cards", current, Step.DELETE)
