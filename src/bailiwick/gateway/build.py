"""Puts the gateway together over a platform."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import socket
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError
from threadpoolctl import threadpool_limits

from bailiwick.backends.ensemble.board import Board
from bailiwick.backends.pool import UpstreamPool
from bailiwick.caching.answers import AnswerCache
from bailiwick.caching.redis import RedisAnswers
from bailiwick.errors import BailiwickError
from bailiwick.gateway.access_log import AccessLog
from bailiwick.gateway.admission.door import Door
from bailiwick.gateway.admission.meter import UsageMeter
from bailiwick.gateway.admission.shared import SharedLimits
from bailiwick.gateway.app import Gateway
from bailiwick.gateway.deciding import DecisionObserver
from bailiwick.gateway.ensembles import members_document, members_families, told
from bailiwick.gateway.keeping import KeptSnapshots
from bailiwick.gateway.model import Snapshot
from bailiwick.gateway.pins import Pins
from bailiwick.gateway.reloader import Reloader
from bailiwick.gateway.snapshot import Compiler
from bailiwick.gateway.sources import PlatformSources
from bailiwick.gateway.traces import Traces, configured_provider
from bailiwick.gateway.upstreams import upstream_families, upstreams_document
from bailiwick.network.addresses import OutsideOnly, allowed_address
from bailiwick.platform import Platform
from bailiwick.settings import Settings


class RunningGateway:
    """A gateway with its background work. `start` and `stop` it inside the event loop that serves `app`."""

    def __init__(self, platform: Platform) -> None:
        sources = PlatformSources(platform)
        self._pool = _pool(platform.settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        settings = platform.settings
        board = Board(platform.metrics.record)
        compiler = Compiler(sources, self._pool, os.environ, platform.clock, board)
        self._kept = kept = KeptSnapshots(
            platform.settings.home / "gateway" / "last-snapshot",
            sources,
            lambda given, previous: compiler.over(given).compile(previous),
            os.environ,
            lambda version: platform.registry.load_registered(version),
        )
        self._reports = platform.gateway_reports
        self._name = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"
        self.reloader = Reloader(
            sources.revision,
            self._compiled,
            platform.settings.reload_interval_s,
            report=lambda revision: self._reports.say(self._name, revision.traffic),
            restore=kept.restore,
        )
        self._observers: list[AccessLog | Traces] = []
        if settings.access_log is not None:
            self._observers.append(
                AccessLog(settings.access_log, platform.clock, with_prompts=settings.access_log_prompts)
            )
        if settings.traces:
            self._observers.append(Traces(configured_provider()))
        self._door = _door(platform, self._name, self.reloader)
        redis_url = settings.redis_url
        self._cache = AnswerCache(RedisAnswers(redis_url.get_secret_value()) if redis_url is not None else None)
        self.app = Gateway(
            self.reloader,
            Pins(compiler),
            platform.metrics,
            max_body_bytes=platform.settings.max_body_bytes,
            more_families=lambda: [
                *platform.gauges(),
                *upstream_families(self._pool),
                *members_families(board),
                *platform.routing_log.families(),
                *(family for each in self._observers if isinstance(each, AccessLog) for family in each.families()),
            ],
            upstreams=lambda: [*upstreams_document(self._pool), *members_document(board)],
            on_feedback=told(board),
            cache=self._cache,
            observers=[*self._observers, DecisionObserver(platform.routing_log, platform.clock)],
            door=self._door,
        )

    def _compiled(self, previous: Snapshot | None) -> Snapshot:
        """The newest snapshot; answers of domains that keep none any more are let go. Called in a thread."""
        snapshot = self._kept.compile(previous)
        if self._loop is not None:
            keeping = frozenset(name for name, served in snapshot.served.items() if served.caching is not None)
            self._loop.call_soon_threadsafe(self._cache.keep_only, keeping)
        return snapshot

    async def start(self) -> None:
        """Compile the first snapshot and begin to follow changes.

        Raises:
            Unavailable: a store is away.
        """
        # Products as small as those of one batch take longer on several threads: those that wait for each other burn
        # processor time (measured on 2 cores: 51 us instead of 0.4 us per text in a batch of 64).
        threadpool_limits(limits=1)
        self._loop = asyncio.get_running_loop()
        await self.reloader.start()
        self._pool.start()
        await self._door.start()
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 10, 10)

    async def stop(self) -> None:
        """End the background work and close the upstream connections."""
        await self.reloader.stop()
        await self.app.shadows.stop()
        await self._door.stop()
        await self._cache.close()
        for observer in self._observers:
            await asyncio.to_thread(observer.close)
        with suppress(BailiwickError, SQLAlchemyError):  # without it, the report runs out by itself
            await asyncio.to_thread(self._reports.leave, self._name)
        await self._pool.close()


def _pool(settings: Settings) -> UpstreamPool:
    proxy, networks = settings.upstream_proxy, settings.upstream_networks
    return UpstreamPool(
        settings.upstream_client,
        proxy=proxy.get_secret_value() if proxy else None,
        allows=allowed_address if networks is None else OutsideOnly(networks).allows,
    )


def _door(platform: Platform, gateway: str, reloader: Reloader) -> Door:
    settings = platform.settings
    meter = UsageMeter(
        platform.clock,
        platform.access.usage,
        gateway,
        settings.metrics_interval_s,
        has_budgets=lambda: reloader.ready and reloader.snapshot.access.has_budgets,
    )
    shared = None
    if settings.redis_url is not None:
        shared = SharedLimits(settings.redis_url.get_secret_value(), meter.to_midnight_ms, lambda: meter.today)
    return Door(required=settings.keys == "required", clock=platform.clock, meter=meter, shared=shared)
