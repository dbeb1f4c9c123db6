"""Lets requests in: by key, by domain, by limits; and settles what they used when they have ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bailiwick.backends.ensemble.backend import models_asked
from bailiwick.backends.model import MOST_TOKENS
from bailiwick.clock import Clock, SystemClock
from bailiwick.gateway.admission.counts import AccessCounts
from bailiwick.gateway.admission.estimate import answer_estimate, prompt_estimate, used_tokens
from bailiwick.gateway.admission.local import LocalLimits
from bailiwick.gateway.admission.meter import UsageMeter
from bailiwick.gateway.admission.model import InvalidKey, NotForKey, Ticket, Used, is_refused
from bailiwick.gateway.admission.refusals import invalid_key, limited, not_for_key, routed_elsewhere
from bailiwick.gateway.admission.shared import SharedLimits
from bailiwick.gateway.answering import Asked
from bailiwick.gateway.asgi import Send
from bailiwick.gateway.targets import Target
from bailiwick.governance.access.model import Kind, Limit
from bailiwick.governance.access.secret import digest_of, is_well_formed, looks_like_secret
from bailiwick.governance.access.table import AccessTable, AdmittedKey
from bailiwick.metrics.prometheus import Family, Sample
from bailiwick.routing.model import AUTO

_BEARER = "bearer "


class Door:
    """Admission of one gateway process.

    Args:
        required: a request without a key is refused; else only what looks like one of our keys must be one.
        clock: for the ends of keys.
        meter: counts what keys use.
        shared: counts limits for all gateways; None: each gateway counts by itself.
    """

    def __init__(
        self,
        *,
        required: bool = False,
        clock: Clock | None = None,
        meter: UsageMeter | None = None,
        shared: SharedLimits | None = None,
    ) -> None:
        self._required = required
        self._clock = clock or SystemClock()
        self.meter = meter or UsageMeter(self._clock)
        self._shared = shared
        self._local = LocalLimits(self.meter.spent, self.meter.to_midnight_ms)
        self._counts = AccessCounts()

    def identify(self, headers: Mapping[bytes, bytes], access: AccessTable) -> AdmittedKey | None:
        """Whose key the request carries; None: it carries none, and needs none.

        Raises:
            InvalidKey: it carries none and needs one, or one that is not let in.
        """
        given = headers.get(b"authorization")
        if given is None and not self._required:
            self._counts.keyless()
            return None
        try:
            return self._identified("" if given is None else given.decode("latin-1"), access)
        except InvalidKey as error:
            self._counts.refused("", error.reason)
            raise

    def check(self, key: AdmittedKey | None, model: str) -> None:
        """Whether the key may ask the model that the request names; where ``auto`` leads to is seen later.

        Raises:
            NotForKey: it may not.
        """
        if key is not None and model != AUTO and not key.may_ask(model):
            raise self._turned_away(key, "domain", not_for_key(key, model))

    async def admit(self, key: AdmittedKey | None, asked: Asked, access: AccessTable) -> tuple[Asked, Ticket | None]:
        """Take the request from the limits of its key and of the domain that it was routed to.

        Args:
            key: see `identify`.
            asked: the request, routed.
            access: of the snapshot.

        Returns:
            The request, with those fallbacks only that its key may ask, each of which is taken from the limits of its
            own domain before it is asked; a ticket, where anything counts it.

        Raises:
            NotForKey: it was routed to a domain that the key may not ask.
            RateLimited: a limit is reached; nothing was taken.
        """
        domain = asked.targets[0].served.domain
        of_domains = access.domains
        if key is not None and key.exact is not None:
            if not key.may_ask(domain.id):
                raise self._turned_away(key, "domain", routed_elsewhere(key, domain.id))
            asked = replace(asked, targets=tuple(t for t in asked.targets if key.may_ask(t.served.domain.id)))
        limits = of_domains.get(domain.id, ())
        fallbacks_are_limited = of_domains and any(t.served.domain.id in of_domains for t in asked.targets[1:])
        if key is not None:
            limits = (*key.limits, *limits)
        elif not limits and not fallbacks_are_limited:
            return asked, None
        request = asked.request
        several = models_asked(asked.targets[0].backend)
        prompt = several * prompt_estimate(request)
        tokens = prompt + min(several * answer_estimate(request, domain.generation), MOST_TOKENS)
        ticket = Ticket("" if key is None else key.id, (), tokens, prompt, request.stream, asked.meter)
        if limits:
            await self._take(ticket, limits, key)
        if fallbacks_are_limited:

            async def stand_in(target: Target) -> None:
                await self._take(ticket, of_domains.get(target.served.domain.id, ()), key)

            asked = replace(asked, stand_in=stand_in)
        return asked, ticket

    def watched(self, ticket: Ticket | None, send: Send) -> Send:
        """A way to send that counts the events of a stream, and settles before the last byte where that matters.

        A request in flight is counted off in Redis before its answer is whole: the client's next request may be with
        another gateway sooner than anything that is done afterwards.
        """
        if ticket is None:
            return send
        shared = self._shared
        waits = bool(ticket.member) and any(each.kind is Kind.IN_FLIGHT for each in ticket.limits)
        if not (waits or ticket.stream):
            return send

        status = 0

        async def watching(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                if ticket.stream:
                    ticket.events += message.get("body", b"").count(b"data: {")
                if waits and shared is not None and ticket.used is None and not message.get("more_body", False):
                    used = self._settled(ticket, status)
                    await shared.settle(ticket.limits, ticket.tokens, used.tokens, ticket.member)
            await send(message)

        return watching

    def finish(self, ticket: Ticket | None, status: int) -> None:
        """Settle a request that has ended, however it did; nothing happens where that was done."""
        if ticket is None:
            return
        used = ticket.used
        if used is None:
            used = self._settled(ticket, status)
            if ticket.member and self._shared is not None:
                self._shared.settle_soon(ticket.limits, ticket.tokens, used.tokens, ticket.member)
        if ticket.key:
            self._counts.answered(ticket.key, status, used)

    def families(self) -> list[Family]:
        """For Prometheus."""
        found = self._counts.families()
        if self._shared is None:
            return found
        return [
            *found,
            Family(
                "bailiwick_gateway_limits_shared",
                "gauge",
                "1 while limits are counted for all gateways in Redis, 0 while this one counts by itself.",
                [Sample(float(self._shared.is_up), {})],
            ),
            Family(
                "bailiwick_gateway_limits_losses_total",
                "counter",
                "How often Redis went away from the limits.",
                [Sample(self._shared.losses, {})],
            ),
        ]

    async def start(self) -> None:
        """Learn what keys have used today, and begin to write what they use."""
        await self.meter.start()

    async def stop(self) -> None:
        """Settle and write what is left."""
        if self._shared is not None:
            await self._shared.stop()
        await self.meter.stop()

    def _identified(self, given: str, access: AccessTable) -> AdmittedKey | None:
        secret = given[len(_BEARER) :].strip() if given[: len(_BEARER)].lower() == _BEARER else ""
        if not looks_like_secret(secret):
            if self._required:
                raise invalid_key("missing")
            self._counts.keyless()
            return None
        digest = digest_of(secret)
        opening = access.openings.get(digest)
        if opening is None:
            known = "revoked" if digest in access.revoked else "unknown"
            raise invalid_key(known if is_well_formed(secret) else "mistyped")
        if opening.ends_at <= self._clock.now().timestamp():
            raise invalid_key("replaced" if opening.ends_at < opening.key.ends_at else "expired")
        return opening.key

    async def _take(self, ticket: Ticket, limits: tuple[Limit, ...], key: AdmittedKey | None) -> None:
        """Take the request from limits that it has not been taken from yet."""
        if not limits:
            return
        taken = (
            None if self._shared is None else await self._shared.take(limits, ticket.tokens, self._local.known_spent)
        )
        if taken is None:
            standings = self._local.take(limits, ticket.tokens)
        else:
            standings = taken[0]
            if not is_refused(standings):
                # this gateway keeps count beside Redis, to go on from there when Redis goes away
                self._local.take(limits, ticket.tokens, whatever=True)
                ticket.member = ticket.member or taken[1]
        if is_refused(standings):
            error = limited(standings)
            self._refused(key, error.refusing.limit.kind.value)
            raise error
        ticket.limits += limits
        ticket.standings = (*ticket.standings, *standings)

    def _settled(self, ticket: Ticket, status: int) -> Used:
        used = ticket.used = used_tokens(ticket, status)
        self._local.settle(ticket.limits, ticket.tokens, used.tokens)
        if ticket.key:
            self.meter.admitted(ticket.key, used)
        return used

    def _turned_away(self, key: AdmittedKey, reason: str, error: NotForKey) -> NotForKey:
        self._refused(key, reason)
        return error

    def _refused(self, key: AdmittedKey | None, reason: str) -> None:
        self._counts.refused("" if key is None else key.id, reason)
        if key is not None:
            self.meter.refused(key.id)
