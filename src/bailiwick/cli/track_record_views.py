"""Versions with all that is known of them, as people read it."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.cli.console import out, print_table
from bailiwick.delivery.model import Deployment
from bailiwick.delivery.track_record import LiveNumbers, TrackRecord
from bailiwick.traffic.weights import percent

_MOST_DEPLOYMENTS = 5


def show_table(title: str, records: Sequence[TrackRecord]) -> None:
    """One line per version; ``right`` is the interval of the share of right answers."""
    print_table(
        title,
        ("version", "held out", "asked", "failed", "p95 ms", "right", "serves"),
        [
            (
                each.version.id,
                each.version.metrics.get("accuracy"),
                each.live.attempts,
                _share(each.live.failed, each.live.attempts),
                each.live.p95_ms,
                _right(each.live),
                percent(each.share) if each.share else "",
            )
            for each in records
        ],
        whole=("failed", "right", "serves"),
    )


def show_record(record: TrackRecord, last: str) -> None:
    """One version in full."""
    version, live = record.version, record.live
    serves = f"serves {percent(record.share)} of {version.domain}" if record.share else "serves nobody"
    facts = [
        ("trained", _training(record)),
        ("settings", ", ".join(f"{name}={value}" for name, value in sorted(record.settings.items()))),
        ("privacy", _privacy(record)),
        ("held out", ", ".join(f"{name} {value:.4g}" for name, value in sorted(version.metrics.items()))),
        (f"last {last}", _live(live)),
        ("right", _judged(live)),
        *(("deployed", _deployed(made)) for made in record.deployments[:_MOST_DEPLOYMENTS]),
    ]
    print_table(f"{version.id}: {serves}", ("what", "value"), [fact for fact in facts if fact[1]])
    more = len(record.deployments) - _MOST_DEPLOYMENTS
    if more > 0:
        out.print(f"and {more} deployments before: bailiwick deployment list {version.domain}")


def _training(record: TrackRecord) -> str:
    version, run = record.version, record.run
    family = f"{version.family}, made {version.created_at:%Y-%m-%d %H:%M}Z"
    if run is None:
        return family
    seed = "" if record.privacy else f", seed {run.seed}"
    return f"{family} by {run.started_by} from {record.dataset}{seed}, as {run.id}"


def _privacy(record: TrackRecord) -> str:
    claim = record.privacy
    if claim is None:
        return "no claim"
    return f"epsilon {claim.get('epsilon')}, delta {claim.get('delta')} spent for {claim.get('unit')}"


def _live(live: LiveNumbers) -> str:
    if not live.attempts and not live.answers:
        return "not asked"
    words = f"{live.attempts:,} asked, {_share(live.failed, live.attempts) or '0 %'} failed"
    if live.p50_ms is None or live.p95_ms is None:
        return words
    return f"{words}, p50 {live.p50_ms:.4g} ms, p95 {live.p95_ms:.4g} ms"


def _judged(live: LiveNumbers) -> str:
    if not live.correct.trials:
        return "nobody said"
    words = f"{100 * live.correct.value:.3g} % of {live.correct.trials:,} opinions"
    return words if live.correct_low is None else f"{words}, 95 % interval {_right(live)}"


def _right(live: LiveNumbers) -> str:
    if live.correct_low is None or live.correct_high is None:
        return ""
    return f"{100 * live.correct_low:.1f}-{100 * live.correct_high:.1f} %"


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.3g} %" if of else ""


def _deployed(made: Deployment) -> str:
    share = "by a rollout" if made.for_rollout else f"for {percent(made.share)}"
    return f"{made.at:%Y-%m-%d %H:%M}Z {share} by {made.actor}: {made.status.value}"
