"""Which of the logged decisions say something, and how often each kind may speak. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bailiwick.routing.decide import draw_of
from bailiwick.routing.rewards import FAILED, Judged


def balanced(decisions: Iterable[Judged], share: float) -> list[Judged]:
    """The decisions with so many of the failures as if a failure, too, were known only when somebody reports it.

    Every failure is in the log, an answer's worth only where somebody judged it. Taken as they are, one failure in a
    hundred answers would look like one in two where one answer in a hundred is judged. So each failure is kept with the
    probability with which an answer is judged, by a draw from its request's id: the same ones each time.

    Args:
        decisions: with a judgement, or failed.
        share: of the answers, how many are judged; 0 leaves no failure.
    """
    return [each for each in decisions if each.metric != FAILED or draw_of(f"failed:{each.request_id}") < share]


def independent(decisions: Sequence[Judged], seen: Iterable[Judged] = ()) -> list[Judged]:
    """The first decision of each draw: others with the same draw were not drawn on their own.

    They are the turns of a conversation, wherever they were decided; with ``sticky = "user"``, all that a user asks.

    Args:
        decisions: in the order of time.
        seen: whose draws are used up: what a policy learned from must not value it.
    """
    drawn = {each.draw for each in seen if each.draw is not None}
    kept = []
    for each in decisions:
        if each.follow_up or (each.draw is not None and each.draw in drawn):
            continue
        if each.draw is not None:
            drawn.add(each.draw)
        kept.append(each)
    return kept
