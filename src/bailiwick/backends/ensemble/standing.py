"""How a member of an ensemble stands: what it counts, when it is benched, and how it comes back. Pure.

A member is *active*: it is asked, and counts in full until more than a tenth of its calls fail (or take too long), or
until feedback says that it is less often right than its held-out accuracy promised; then it counts less. When half of
its calls fail, or when it is right 20 points less often than promised, it is *benched*: it counts nothing. After a
pause, which doubles from one benching to the next, it is on *trial*: one query in a while is put to it as well, and its
answer does not count. After some good answers in a row it is active again, with a share that grows over a few seconds.
What is remembered fades with each call, so that an old failure does not weigh for ever.

The limits for leaving (half of the calls) and for coming back (a run of successes, and failures forgotten) lie apart:
that is the hysteresis, without which a member at the limit would come and go with every query.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """Whether a member is asked and counts."""

    ACTIVE = "active"
    BENCHED = "benched"
    TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Rules:
    """When a member leaves and comes back.

    Args:
        memory: calls after which an outcome counts 1/e of a new one.
        tolerated: share of failed calls that costs nothing.
        benched_at: share of failed calls that benches.
        fewest: calls in memory before any of it is judged; as they fade, that is with the fifth.
        accuracy_tolerated: how far below its promise a member's accuracy may be at no cost.
        accuracy_benched_at: how far below benches.
        fewest_judged: outcomes from feedback in memory before they are judged.
        least_share: what a member still counts when its accuracy is about to bench it.
        first_pause_s, longest_pause_s: without any query, once benched.
        probe_every_s: between two queries on trial.
        probes: good answers in a row that end a trial.
        growing_s: from a tenth of its share to all of it, once it is back.
    """

    memory: float = 50.0
    tolerated: float = 0.1
    benched_at: float = 0.5
    fewest: float = 4.0
    accuracy_tolerated: float = 0.05
    accuracy_benched_at: float = 0.2
    fewest_judged: float = 20.0
    least_share: float = 0.25
    first_pause_s: float = 2.0
    longest_pause_s: float = 60.0
    probe_every_s: float = 0.5
    probes: int = 3
    growing_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a member. Times are of one monotonic clock, in seconds.

    Args:
        calls, failures: remembered, faded.
        judged, right: answers that feedback has judged, faded.
        benchings: in a row: since it was last active for as long as the longest pause.
        until_s: when the pause ends, or on trial when the next probe is due.
        good: answers in a row on trial.
        back_s: when it came back; None: it was never benched.
        why: it was benched, in words.
    """

    state: State = State.ACTIVE
    calls: float = 0.0
    failures: float = 0.0
    judged: float = 0.0
    right: float = 0.0
    benchings: int = 0
    until_s: float = 0.0
    good: int = 0
    back_s: float | None = None
    why: str = ""

    @property
    def failed_share(self) -> float:
        """Of the calls in memory; 0 without any."""
        return self.failures / self.calls if self.calls else 0.0

    @property
    def accuracy(self) -> float | None:
        """Of the answers that feedback judged; None without any."""
        return self.right / self.judged if self.judged else None


def asks(standing: Standing, now_s: float) -> bool:
    """Whether a query is put to the member now.

    >>> asks(Standing(), 0.0), asks(Standing(State.BENCHED, until_s=5.0), 4.0), asks(Standing(State.TRIAL), 0.0)
    (True, False, True)
    """
    return standing.state is State.ACTIVE or now_s >= standing.until_s


def asked(standing: Standing, rules: Rules, now_s: float) -> Standing:
    """The member once a query was put to it: a benched one is on trial from now on."""
    if standing.state is State.ACTIVE:
        return standing
    return replace(standing, state=State.TRIAL, until_s=now_s + rules.probe_every_s)


def called(standing: Standing, rules: Rules, now_s: float, *, good: bool) -> Standing:
    """The member after an answer, or after a failure, or an answer that came too late to be of use."""
    if standing.state is State.BENCHED:
        return standing  # sent before it was benched: nothing new
    if standing.state is State.TRIAL:
        if not good:
            return _benched(standing, rules, now_s, "failed on trial")
        if standing.good + 1 < rules.probes:
            return replace(standing, good=standing.good + 1)
        return Standing(back_s=now_s, benchings=standing.benchings)
    if good and not standing.failures and standing.calls > 0.9 * rules.memory and standing.back_s is None:
        return standing  # all is well, and the memory is full of it: as nearly always
    fading = 1 - 1 / rules.memory
    calls, failures = standing.calls * fading + 1, standing.failures * fading + (not good)
    after = replace(standing, calls=calls, failures=failures)
    if not good and calls >= rules.fewest and after.failed_share >= rules.benched_at:
        return _benched(after, rules, now_s, f"{after.failed_share:.0%} of its calls failed")
    settled = after.back_s is not None and now_s - after.back_s >= rules.longest_pause_s
    return replace(after, benchings=0) if settled and after.benchings else after


def judged(standing: Standing, rules: Rules, now_s: float, *, right: bool, promised: float | None) -> Standing:
    """The member after feedback on one of its answers.

    Args:
        standing: before.
        rules: of the ensemble.
        now_s: the time.
        right: what the feedback says.
        promised: its accuracy on held-out texts; None: unknown, then nothing is held against it.
    """
    if standing.state is not State.ACTIVE:
        return standing
    fading = 1 - 1 / rules.memory
    after = replace(standing, judged=standing.judged * fading + 1, right=standing.right * fading + right)
    short = _short(after, rules, promised)
    if short >= rules.accuracy_benched_at:
        words = f"right in {after.accuracy:.0%} of the answers with feedback, {promised:.0%} were promised"
        return _benched(after, rules, now_s, words)
    return after


def share(standing: Standing, rules: Rules, now_s: float, promised: float | None = None) -> float:
    """What the member counts, beside its own weight: 0 to 1.

    >>> share(Standing(), Rules(), 0.0), share(Standing(calls=10.0, failures=3.0), Rules(), 0.0)
    (1.0, 0.5)
    """
    if standing.state is not State.ACTIVE:
        return 0.0
    counted = 1.0
    if standing.calls >= rules.fewest and standing.failed_share > rules.tolerated:
        counted *= (rules.benched_at - standing.failed_share) / (rules.benched_at - rules.tolerated)
    short = _short(standing, rules, promised)
    if short > rules.accuracy_tolerated:
        span = rules.accuracy_benched_at - rules.accuracy_tolerated
        counted *= 1 - (1 - rules.least_share) * min(1.0, (short - rules.accuracy_tolerated) / span)
    if standing.back_s is not None and rules.growing_s > 0:
        counted *= min(1.0, max(0.1, (now_s - standing.back_s) / rules.growing_s))
    return round(max(0.0, counted), 12)


def _short(standing: Standing, rules: Rules, promised: float | None) -> float:
    """How far the accuracy is below what was promised; 0 while too little is known."""
    if promised is None or standing.judged < rules.fewest_judged or standing.accuracy is None:
        return 0.0
    return promised - standing.accuracy


def _benched(standing: Standing, rules: Rules, now_s: float, why: str) -> Standing:
    pause_s = min(rules.longest_pause_s, rules.first_pause_s * 2.0 ** min(standing.benchings, 20))
    return Standing(State.BENCHED, benchings=standing.benchings + 1, until_s=now_s + pause_s, why=why)
