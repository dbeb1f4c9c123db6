"""Whether an endpoint makes sense, and what of it may be shown. Pure."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from bailiwick.errors import InvalidInput
from bailiwick.governance.notifications.model import Endpoint
from bailiwick.network.addresses import OutsideOnly, is_address

MAX_ENDPOINTS = 50
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"BAILIWICK_WEBHOOK_[A-Z0-9_]{1,80}")
_MAX_URL = 2_000


def check_name(name: str) -> str:
    """The name.

    Raises:
        InvalidInput: it is malformed.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:100]!r} is no name for a webhook",
            what="name",
            allowed="lower-case letters, digits, - and _, at most 64",
        )
    return name


def check_variable(variable: str) -> str:
    """The name of the environment variable with the secret. Others are refused: they may hold other secrets.

    Raises:
        InvalidInput: it does not begin with ``BAILIWICK_WEBHOOK_``.
    """
    if not _VARIABLE.fullmatch(variable):
        raise InvalidInput(
            f"{variable[:100]!r} may not hold the secret of a webhook",
            what="secret_env",
            allowed="BAILIWICK_WEBHOOK_ and capital letters, digits and _",
        )
    return variable


def check_url(url: str, rule: OutsideOnly) -> str:
    """The address, as far as it can be judged before its host is resolved.

    Raises:
        InvalidInput: it is no URL, names a user or an address that is not allowed, or is neither https nor in a
            network that was named as allowed.
    """
    try:
        parts = urlsplit(url)
        readable = parts.port is None or parts.port > 0
    except ValueError:
        readable = False
    if not readable or parts.scheme not in ("https", "http") or not parts.hostname or not url.isprintable():
        raise InvalidInput("the webhook's address is no https URL", what="url", allowed="https://host/path")
    if parts.username or parts.password or parts.fragment or len(url) > _MAX_URL:
        raise InvalidInput(
            "the webhook's address must hold no user, password or fragment, and at most 2,000 characters", what="url"
        )
    if is_address(parts.hostname) and not rule.allows(parts.hostname):
        raise InvalidInput(
            f"{parts.hostname} is not an address that webhooks may go to",
            what="url",
            remedy="if it shall be, name its network in the setting webhook_networks",
        )
    if parts.scheme == "http" and not (is_address(parts.hostname) and rule.is_named(parts.hostname)):
        raise InvalidInput(
            "webhooks go over https; http is for addresses of the networks in the setting webhook_networks alone",
            what="url",
            requested=shown_url(url),
        )
    return url


def shown_url(url: str) -> str:
    """The address without what may be secret in it.

    >>> shown_url("https://hooks.slack.com/services/T0/B0/key"), shown_url("http://127.0.0.1:8080")
    ('https://hooks.slack.com/...', 'http://127.0.0.1:8080')
    """
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    origin = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
    return f"{origin}/..." if parts.path.strip("/") or parts.query else origin


def endpoint_document(endpoint: Endpoint) -> dict[str, Any]:
    """What may be shown: everything but the secret and the path of the address."""
    return {
        "name": endpoint.name,
        "url": shown_url(endpoint.url),
        "on": list(endpoint.patterns),
        "format": endpoint.format.value,
        "secret": f"${endpoint.secret_variable}" if endpoint.secret_variable else "generated",
        "created_at": endpoint.created_at,
        "created_by": endpoint.created_by,
    }
