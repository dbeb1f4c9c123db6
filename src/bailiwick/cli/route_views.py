"""How routing is printed for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from bailiwick.cli.console import out, print_table
from bailiwick.routing.analytics import DomainAnalytics, RoutingAnalytics
from bailiwick.routing.evaluate import PolicyEvaluation
from bailiwick.routing.policy import Policy, knobs_document
from bailiwick.routing.runtime import Published

_MOST = 20


def print_explanation(found: Mapping[str, Any]) -> None:
    """Every stage of a decision."""
    if found["domain"] is None:
        out.print(f"[bold red]Nobody[/] answers: {escape(found['reason'])}")
    else:
        out.print(f"[bold]{found['domain']}[/] answers" + (f" with {found['version']}" if found["version"] else ""))
        out.print(f"  {found['method']}, confidence {found['confidence']:.3f}: {escape(found['reason'])}")
    if found["fallbacks"]:
        out.print(f"  if it cannot: {', '.join(found['fallbacks'])}")
    if "rules" not in found:
        return
    held = ", ".join(f"{each['name']} -> {each['domain']}" for each in found["rules"])
    out.print(f"1. rules: {escape(held) if held else 'none holds'}")
    _print_detection(found["detection"])
    _print_learning(found["learning"], found["mode"])
    for each in (found["served"] or {}).get("experiments", ()):
        out.print(f"   experiment {each['experiment']}: arm {each['arm']}")


def _print_detection(found: Mapping[str, Any] | None) -> None:
    if found is None:
        out.print("2. detection: there is no detector yet")
        return
    out.print("2. detection: ", end="")
    out.print(found["reason"], markup=False)
    if found["words"]:
        words = ", ".join(f"{each['word']} ({each['domain']} {each['weight']:+.1f})" for each in found["words"][:8])
        out.print(f"   words: {escape(words)}")
    if found["ranking"]:
        out.print("   ranking: " + ", ".join(f"{domain} {score:.3f}" for domain, score in found["ranking"]))


def _print_learning(found: Mapping[str, Any] | None, mode: str) -> None:
    if found is None:
        out.print(f"3. learning ({mode}): has no say here")
        return
    acts = "" if found["acts"] else " would, if it acted:"
    out.print(f"3. learning ({mode}):{acts} {found['proposed']}, in the context {escape(found['context'])}")
    rows = [(each["domain"], each["prior"], each["expected"], each["probability"]) for each in found["candidates"]]
    print_table("", ("candidate", "prior", "expected", "probability"), [(r[0], *_rounded(r[1:])) for r in rows])
    out.print(f"   draw {found['draw']:.4f} from the request's key")


def print_logged(found: Mapping[str, Any]) -> None:
    """A past request."""
    out.print(f"[bold]{found['domain']}[/] was chosen at {found['at']}, by {found['method']} (mode {found['mode']})")
    out.print(f"  propensity {found['propensity']:.4f}, policy revision {found['revision']}, draw {found['draw']:.4f}")
    if found["rule"]:
        out.print(f"  rule {escape(found['rule'])}")
    if found["candidates"]:
        out.print(f"  learning proposed {found['proposed']}, context {escape(found['context'])}")
        rows = [
            (each["domain"], *_rounded((each["prior"], each["expected"], each["probability"])))
            for each in found["candidates"]
        ]
        print_table("", ("candidate", "prior", "expected", "probability"), rows)
        out.print("  the draw gives the same again" if found["replayed"] else "  [red]the draw gives another domain[/]")
    if found["ranking"]:
        out.print("  ranking: " + ", ".join(f"{domain} {score:.3f}" for domain, score in found["ranking"]))
    answered = found["answered"] or "nobody"
    out.print(f"  answered by {answered} {found['version']}: {found['status']} in {found['latency_ms']:.1f} ms")
    said = found["feedback"]
    if said["value"] is not None:
        right = f", right would have been {said['right_domain']}" if said["right_domain"] else ""
        out.print(f"  feedback: {escape(said['metric'])} {said['value']:g}{right}")


def print_status(published: Published) -> None:
    """What is in force."""
    policy = published.policy
    out.print(f"Routing is [bold]{published.mode.value}[/], revision {published.revision}")
    origin = f"revision {published.policy_revision}" if published.policy_revision else "the settings"
    out.print(f"  policy of {origin}, learned from {policy.decisions} judged decisions")
    out.print(f"  {len(published.rules.rules)} rules")
    rows = [(name, str(value)) for name, value in knobs_document(policy.knobs).items()]
    print_table("Knobs", ("knob", "value"), rows)


def print_proposal(policy: Policy) -> None:
    """What would be published."""
    rows: list[tuple[object, ...]] = [
        (context, domain, round(count, 1), round(mean, 3))
        for context, by_domain in sorted(policy.means.items())
        for domain, (count, mean) in sorted(by_domain.items())
    ]
    rows += [
        (group, domain, "", " ".join(f"{each:+.3f}" for each in arm.coefficients))
        for group, arms in sorted(policy.linear.items())
        for domain, arm in sorted(arms.items())
    ]
    title = f"Learned from {policy.decisions} judged decisions ({policy.knobs.algorithm.value})"
    print_table(title, ("context", "domain", "answers", "reward"), rows[:_MOST])
    if len(rows) > _MOST:
        out.print(f"and {len(rows) - _MOST} more; --json shows all")
    if not rows:
        out.print("Nothing was judged yet. Next: turn learning on and send feedback (POST /v1/feedback)")
    else:
        out.print("Next: [bold]bailiwick route evaluate[/]")


def print_evaluation(found: PolicyEvaluation) -> None:
    """What a policy would have earned."""
    out.print(f"[bold]{found.verdict.value}[/]: ", end="")
    out.print(found.reason, markup=False)
    out.print(f"  {found.judged} judged decisions: learned from {found.learned_from}, valued on {found.valued_on}")
    if not found.estimates:
        return
    out.print(f"  earned by what was done: {found.logged_value:.4f}; {100 * found.explored:.0f} % had a choice")
    rows = [
        (
            each.method,
            _shown(each.value),
            f"{_shown(each.low)} to {_shown(each.high)}",
            round(each.overlap.effective),
            each.interval.value,
        )
        for each in found.estimates
    ]
    print_table("Reward per decision", ("estimate", "value", "95 % interval", "worth", "interval by"), rows)
    for warning in found.warnings:
        out.print("  [yellow]warning:[/] ", end="")
        out.print(warning, markup=False)


def print_analytics(found: RoutingAnalytics) -> None:
    """What routing did."""
    if not found.decisions:
        out.print("No decision was logged. Next: [bold]bailiwick route mode shadow[/], and requests to `auto`")
        return
    rows = [
        (
            each.domain,
            each.decisions,
            f"{100 * each.share:.1f} %",
            ", ".join(f"{method} {number}" for method, number in each.methods.items()),
            round(each.confidence, 3),
            "" if each.latency_p95_ms is None else round(each.latency_p95_ms, 1),
        )
        for each in found.domains
    ]
    print_table("Decisions", ("domain", "number", "share", "by", "confidence", "p95 ms"), rows)
    judged = [(each.domain, each.judged, _accuracy(each), *_regret(each)) for each in found.domains if each.judged]
    if judged:
        print_table("By feedback", ("domain", "judged", "accuracy", "best in hindsight", "regret"), judged)
    wrong = [
        (domain, right, number)
        for domain, rights in found.confusion.items()
        for right, number in rights.items()
        if right != domain
    ]
    if wrong:
        print_table("Went wrong", ("went to", "right was", "number"), sorted(wrong, key=lambda row: -row[2])[:_MOST])
    drift = found.drift
    if drift.stability_index is None:
        out.print(f"Drift of the mix: cannot be told, {drift.reason}")
    else:
        sign = "[bold red]the mix has changed[/]" if drift.drifted else "no change shown"
        out.print(f"Drift of the mix: {sign} (index {drift.stability_index:.3f}, p {drift.p_value:.2g})")


def _accuracy(each: DomainAnalytics) -> str:
    if each.accuracy_low is None or each.accuracy_high is None:
        return _shown(each.accuracy)
    return f"{each.accuracy:.3f} ({each.accuracy_low:.3f} to {each.accuracy_high:.3f})"


def _regret(each: DomainAnalytics) -> tuple[str, str]:
    if each.regret is None:
        return "", ""
    lost = each.regret
    return lost.best, f"{lost.value:+.3f} ({lost.low:+.3f} to {lost.high:+.3f})"


def _rounded(values: Any) -> list[float]:
    return [round(value, 4) for value in values]


def _shown(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.4f}"
