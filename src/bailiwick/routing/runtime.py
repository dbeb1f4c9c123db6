"""The router of a gateway: rules, then detection, then learning. No I/O, no lock; one thread uses it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bailiwick.detection.model import NONE, Detection
from bailiwick.routing.choose import DETECTED_CHARACTERS, route_detected, stand_ins
from bailiwick.routing.contexts import context_of
from bailiwick.routing.decide import candidates_of, draw_of, drawn
from bailiwick.routing.model import Candidate, Decision, Features, Mode, Route, RouteMethod, RoutingTable
from bailiwick.routing.policy import Policy, Sticky
from bailiwick.routing.ports import DomainDetector
from bailiwick.routing.rules import RuleBook
from bailiwick.traffic.conditions import Attributes

REMEMBERED = 50_000
"""Conversations whose domain a gateway remembers; those that were silent for longest are forgotten first."""

_SILENT = Detection(None, 0.0, NONE, ())


def _unknown(_name: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Question:
    """What the router must know of a request.

    Args:
        text: of the user's last message.
        operation: such as ``chat/completions``.
        request_id: keys the draw where nothing else does.
        user: who asks, where known.
        conversation: what the turns of one conversation have in common; None where that cannot be told.
        turn: 1 for the first message of the user.
        attributes: headers and the like, for rules.
        may_ask: the domains that may be asked for this request; None: all.
    """

    text: str
    operation: str
    request_id: str
    user: str | None = None
    conversation: str | None = None
    turn: int = 1
    attributes: Attributes = _unknown
    may_ask: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """What people and the learner have published.

    Args:
        revision: counts every change.
        policy_revision: of the policy; 0: none was published.
    """

    revision: int = 0
    mode: Mode = Mode.OFF
    rules: RuleBook = field(default_factory=lambda: RuleBook(()))
    policy: Policy = field(default_factory=Policy)
    policy_revision: int = 0

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do but to detect."""
        return self.mode is Mode.OFF and not self.rules.rules


def _may_ask(question: Question, domain: str) -> bool:
    return question.may_ask is None or question.may_ask(domain)


def _allowed(candidates: tuple[Candidate, ...], question: Question) -> tuple[Candidate, ...]:
    """Those that may be asked for this request, with probabilities that sum to 1."""
    if question.may_ask is None:
        return candidates
    kept = [each for each in candidates if question.may_ask(each.domain)]
    total = sum(each.probability for each in kept)
    if len(kept) == len(candidates):
        return candidates
    if not total:  # weights gave all to the others: what may be asked is as good as its neighbour
        return tuple(replace(each, probability=1 / len(kept)) for each in kept)
    return tuple(replace(each, probability=each.probability / total) for each in kept)


class Conversations:
    """The decisions of conversations that go on; at most so many."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._decisions: OrderedDict[str, Decision] = OrderedDict()

    def get(self, key: str) -> Decision | None:
        """What was decided for a conversation."""
        found = self._decisions.get(key)
        if found is not None:
            self._decisions.move_to_end(key)
        return found

    def put(self, key: str, decision: Decision) -> None:
        """Remember it."""
        self._decisions[key] = decision
        if len(self._decisions) > self._most:
            self._decisions.popitem(last=False)


class Router:
    """Rules, detection and learning over one published state.

    Args:
        published: what is in force.
        conversations: outlive the published state, so that a conversation stays where it is when weights change.
    """

    def __init__(self, published: Published, conversations: Conversations | None = None) -> None:
        self.published = published
        self.conversations = conversations if conversations is not None else Conversations()

    def route(self, question: Question, table: RoutingTable, detector: DomainDetector | None) -> Route:
        """Where a request for ``auto`` goes.

        Raises:
            InvalidInput: no domain is found and there is no default.
            Unavailable: none that might answer can answer now.
        """
        ruled = self._ruled(question, table)
        if ruled is not None:
            return ruled
        detection = _SILENT if detector is None else detector.detect(question.text[:DETECTED_CHARACTERS])
        base = route_detected(detection, table)
        if self.published.mode is Mode.OFF:
            return base
        if detection.domain is not None and base.domain != detection.domain:
            return base  # a stand-in answers: nothing can be learned of the domain that was meant
        return self._learned(question, table, detection, base)

    def _ruled(self, question: Question, table: RoutingTable) -> Route | None:
        book = self.published.rules
        if not book.rules:
            return None
        for rule in book.matches(question.text, question.attributes):
            domain = next(stand_ins(rule.domain, table), None)
            if domain is None:
                continue
            decision = None
            if self.published.mode is not Mode.OFF:
                features = Features("", False, (), len(question.text), question.operation)
                decision = Decision(
                    method=RouteMethod.USER_RULE,
                    domain=domain,
                    propensity=1.0,
                    proposed=domain,
                    features=features,
                    candidates=(),
                    context=f"rule {rule.name}",
                    draw=0.0,
                    revision=self.published.policy_revision,
                    mode=self.published.mode,
                    rule=rule.name,
                )
            return Route(domain, 1.0, RouteMethod.USER_RULE, (), f"the rule {rule.name!r} holds", decision)
        return None

    def _learned(self, question: Question, table: RoutingTable, detection: Detection, base: Route) -> Route:
        acts = self.published.mode is Mode.ON
        key, remembered = self._key(question)
        known = self.conversations.get(key) if remembered and acts else None
        if known is not None and known.domain in table.ready and _may_ask(question, known.domain):
            kept = replace(known, follow_up=True)
            reason = f"the conversation stays with {kept.domain!r}"
            return replace(base, domain=kept.domain, method=kept.method, reason=reason, decision=kept)
        decision = self.decided(question, table, detection, base, key)
        if remembered and acts:
            self.conversations.put(key, decision)
        if decision.domain == base.domain:
            return replace(base, decision=decision)
        others = tuple(pair for pair in detection.ranking if pair[0] != decision.domain)
        chosen = next(each for each in decision.candidates if each.domain == decision.domain)
        reason = (
            f"drawn with {chosen.probability:.2f}; {chosen.expected:.2f} is expected of it,"
            f" of {base.domain!r} {decision.candidates[0].expected:.2f}"
        )
        return Route(decision.domain, chosen.prior, RouteMethod.LEARNED, others, reason, decision)

    def decided(self, question: Question, table: RoutingTable, detection: Detection, base: Route, key: str) -> Decision:
        """The decision of learning on a detected query, with its draw from the key."""
        policy = self.published.policy
        ranking = detection.ranking
        features = Features(
            detected=ranking[0][0] if ranking else "",
            abstained=detection.domain is None,
            ranking=ranking,
            length=len(question.text),
            operation=question.operation,
        )
        every = candidates_of(features, policy, table)
        candidates = _allowed(every, question)
        draw = draw_of(key)
        chosen = drawn(candidates, draw) if candidates else None
        proposed = chosen.domain if chosen is not None else base.domain
        acts = self.published.mode is Mode.ON and chosen is not None
        domain = proposed if acts else base.domain
        return Decision(
            method=base.method if domain == base.domain else RouteMethod.LEARNED,
            domain=domain,
            propensity=chosen.probability if acts and chosen is not None else 1.0,
            proposed=proposed,
            features=features,
            candidates=candidates,
            context=context_of(features) if len(candidates) == len(every) else "",
            draw=draw,
            revision=self.published.policy_revision,
            mode=self.published.mode,
            follow_up=question.turn > 1,
        )

    def _key(self, question: Question) -> tuple[str, bool]:
        """What the draw hangs on, and whether its decision is remembered."""
        sticky = self.published.policy.knobs.sticky
        if sticky is Sticky.CONVERSATION and question.conversation is not None:
            return f"conversation:{question.conversation}", True
        if sticky is Sticky.USER and question.user is not None:
            return f"user:{question.user}", False
        return question.request_id, False
