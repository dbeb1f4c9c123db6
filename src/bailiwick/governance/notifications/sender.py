"""Posts one message: nowhere but where it may, never longer than a few seconds, following nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

import aiohttp

from bailiwick.errors import InvalidInput
from bailiwick.governance.notifications.endpoints import check_url
from bailiwick.governance.notifications.model import Outcome
from bailiwick.network.addresses import OutsideOnly
from bailiwick.network.resolver import GuardedResolver

_GONE = 410


class Sender:
    """Sends from any thread; each call is a connection of its own.

    Args:
        rule: where to; asked of what names resolve to, at each attempt.
        timeout_s: for everything together, from resolving to the answer's head.
    """

    def __init__(self, rule: OutsideOnly, timeout_s: float = 10.0) -> None:
        self._rule = rule
        self._timeout_s = timeout_s

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Post a JSON body. Nothing that fails raises; no outcome repeats the address or what the receiver said."""
        try:
            check_url(url, self._rule)
        except InvalidInput as error:
            return Outcome(None, error.message)
        return asyncio.run(self._post(url, body, headers))

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(self._rule.allows), force_close=True)
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        sent = {"content-type": "application/json", "user-agent": "bailiwick-webhooks", **headers}
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector, timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
                ) as session,
                session.post(url, data=body, headers=sent, allow_redirects=False) as response,
            ):
                return _outcome(response.status)
        except TimeoutError:
            return Outcome(None, f"no answer within {self._timeout_s:g} s")
        except (aiohttp.ClientSSLError, ssl.SSLError):
            return Outcome(None, "no trusted TLS connection")
        except (aiohttp.ClientConnectorError, OSError):
            return Outcome(None, "cannot be connected to, or resolves to no address that webhooks may go to")
        except (aiohttp.ClientError, ValueError) as error:
            return Outcome(None, f"broke off ({type(error).__name__})")


def _outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome(status)
    if 300 <= status < 400:
        return Outcome(status, f"answered with a redirect ({status}), which is not followed")
    return Outcome(status, f"answered with status {status}", final=status == _GONE)
