"""Puts the gateway together over a platform."""

from __future__ import annotations

import os

from bailiwick.backends.pool import UpstreamPool
from bailiwick.gateway.app import Gateway
from bailiwick.gateway.pins import Pins
from bailiwick.gateway.reloader import Reloader
from bailiwick.gateway.snapshot import Compiler
from bailiwick.gateway.sources import PlatformSources
from bailiwick.gateway.upstreams import upstream_families, upstreams_document
from bailiwick.platform import Platform


class RunningGateway:
    """A gateway with its background work. `start` and `stop` it inside the event loop that serves `app`."""

    def __init__(self, platform: Platform) -> None:
        sources = PlatformSources(platform)
        proxy = platform.settings.upstream_proxy
        self._pool = UpstreamPool(platform.settings.upstream_client, proxy=proxy.get_secret_value() if proxy else None)
        compiler = Compiler(sources, self._pool, os.environ, platform.clock)
        self.reloader = Reloader(sources.revision, compiler.compile, platform.settings.reload_interval_s)
        self.app = Gateway(
            self.reloader,
            Pins(compiler),
            platform.metrics,
            max_body_bytes=platform.settings.max_body_bytes,
            more_families=lambda: [*platform.privacy_gauges(), *upstream_families(self._pool)],
            upstreams=lambda: upstreams_document(self._pool),
        )

    async def start(self) -> None:
        """Compile the first snapshot and begin to follow changes.

        Raises:
            Unavailable: a store is away.
        """
        await self.reloader.start()
        self._pool.start()

    async def stop(self) -> None:
        """End the background work and close the upstream connections."""
        await self.reloader.stop()
        await self._pool.close()
