"""What is in force in routing, as JSON and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bailiwick.routing.model import Mode
from bailiwick.routing.policy import parse_policy, policy_document
from bailiwick.routing.rules import RuleBook, parse_rules, rule_document
from bailiwick.routing.runtime import Published


def published_document(published: Published) -> dict[str, Any]:
    """What `parse_published` reads."""
    return {
        "revision": published.revision,
        "mode": published.mode.value,
        "rules": [rule_document(rule) for rule in published.rules.rules],
        "policy": policy_document(published.policy),
        "policy_revision": published.policy_revision,
    }


def parse_published(document: Mapping[str, Any]) -> Published:
    """Read it back, trusting nothing in it.

    Raises:
        InvalidInput: a rule or the policy is malformed.
        KeyError, TypeError, ValueError: the frame is.
    """
    return Published(
        int(document["revision"]),
        Mode(document["mode"]),
        RuleBook(parse_rules(document["rules"])),
        parse_policy(document["policy"]),
        int(document["policy_revision"]),
    )
