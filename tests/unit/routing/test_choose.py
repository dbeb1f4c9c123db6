from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.detection.model import Detection
from bailiwick.errors import InvalidInput, NotFound, Unavailable
from bailiwick.routing.choose import DETECTED_CHARACTERS, choose, route_detected, stand_ins
from bailiwick.routing.model import AUTO, RouteMethod, RoutingTable

TABLE = RoutingTable(
    known=frozenset({"cards", "loans", "misc", "down"}),
    ready=frozenset({"cards", "loans", "misc"}),
    fallbacks={"down": "loans"},
    default="misc",
)


class Says:
    def __init__(self, domain: str | None, method: str = "classifier", score: float = 0.9) -> None:
        self.detection = Detection(domain, score, method, (("cards", 0.9), ("loans", 0.1)))
        self.heard = ""

    def detect(self, text: str) -> Detection:
        self.heard = text
        return self.detection


def test_choose__named_domain__is_never_overruled() -> None:
    route = choose("loans", "my card", TABLE, Says("cards"))
    assert (route.domain, route.method, route.confidence) == ("loans", RouteMethod.EXPLICIT, 1.0)


def test_choose__unknown_name__not_found_with_remedy() -> None:
    with pytest.raises(NotFound) as caught:
        choose("nope", "", TABLE, None)
    assert caught.value.what == "model"
    assert "/v1/models" in str(caught.value)


@pytest.mark.parametrize(("method", "expected"), [("classifier", RouteMethod.DETECTED), ("keyword", RouteMethod.RULE)])
def test_choose__auto_above_threshold__detected_domain(method: str, expected: RouteMethod) -> None:
    route = choose(AUTO, "my card", TABLE, Says("cards", method))
    assert (route.domain, route.method, route.confidence) == ("cards", expected, 0.9)
    assert route.alternatives == (("loans", 0.1),)


def test_choose__detector_abstains__default_with_the_detectors_score() -> None:
    route = choose(AUTO, "weather", TABLE, Says(None, score=0.2))
    assert (route.domain, route.method, route.confidence) == ("misc", RouteMethod.FALLBACK, 0.2)


def test_choose__detected_domain_is_down__its_fallback() -> None:
    route = choose(AUTO, "x", TABLE, Says("down"))
    assert (route.domain, route.method) == ("loans", RouteMethod.FALLBACK)
    assert "'down'" in route.reason


def test_choose__no_default_and_no_detection__says_what_can_be_named() -> None:
    table = RoutingTable(known=frozenset({"cards"}), ready=frozenset({"cards"}))
    with pytest.raises(InvalidInput) as caught:
        choose(AUTO, "x", table, Says(None))
    assert caught.value.allowed == ["cards"]


def test_choose__detected_domain_and_default_are_down__unavailable() -> None:
    table = RoutingTable(known=frozenset({"cards", "loans"}), ready=frozenset({"loans"}), default="cards")
    with pytest.raises(Unavailable, match="'cards' and its fallbacks"):
        choose(AUTO, "x", table, Says("cards"))


def test_choose__no_detector__default() -> None:
    assert choose(AUTO, "x", TABLE, None).domain == "misc"


def test_choose__very_long_query__detection_reads_a_bounded_part() -> None:
    detector = Says("cards")
    choose(AUTO, "x" * 1_000_000, TABLE, detector)
    assert len(detector.heard) == DETECTED_CHARACTERS


names = st.sampled_from("abcdef")


@given(start=names, fallbacks=st.dictionaries(names, names), ready=st.frozensets(names))
def test_stand_ins__any_fallbacks_even_circles__end_without_repeats(
    start: str, fallbacks: dict[str, str], ready: frozenset[str]
) -> None:
    found = list(stand_ins(start, RoutingTable(frozenset("abcdef"), ready, fallbacks)))
    assert len(found) == len(set(found))
    assert set(found) <= ready
    assert (start in found) == (start in ready)


@given(detected=names, fallbacks=st.dictionaries(names, names), ready=st.frozensets(names, min_size=1))
def test_route_detected__default_is_ready__always_a_ready_domain(
    detected: str, fallbacks: dict[str, str], ready: frozenset[str]
) -> None:
    table = RoutingTable(frozenset("abcdef"), ready, fallbacks, default=min(ready))
    assert route_detected(Detection(detected, 0.5, "classifier", ()), table).domain in ready
