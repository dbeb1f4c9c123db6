from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bailiwick.gateway.asgi import ClientGone, unless_client_leaves


class Client:
    """Stays until it is told to leave."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.leaves.wait()
        return {"type": "http.disconnect"}


class Work:
    """Takes until it is told to end; knows whether it was given up."""

    def __init__(self) -> None:
        self.ends = asyncio.Event()
        self.begun = asyncio.Event()
        self.given_up = False

    async def run(self) -> None:
        self.begun.set()
        try:
            await self.ends.wait()
        except asyncio.CancelledError:
            self.given_up = True
            raise


def test_client_leaves__work_is_given_up__and_the_task_may_go_on() -> None:
    async def scenario() -> None:
        client, work = Client(), Work()

        async def handle() -> str:
            with pytest.raises(ClientGone):
                await unless_client_leaves(client.receive, work.run())
            await asyncio.sleep(0)  # nothing of the cancellation is left
            return "went on"

        handling = asyncio.create_task(handle())
        await work.begun.wait()
        client.leaves.set()
        assert await handling == "went on"
        assert (work.given_up, handling.cancelling()) == (True, 0)

    asyncio.run(scenario())


def test_server_cancels__stays_a_cancellation__even_when_the_client_leaves_too() -> None:
    async def scenario(leaves: bool) -> None:
        client, work = Client(), Work()
        handling = asyncio.create_task(unless_client_leaves(client.receive, work.run()))
        await work.begun.wait()
        await asyncio.sleep(0)
        if leaves:
            client.leaves.set()
            await asyncio.sleep(0)
        handling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handling
        assert work.given_up

    asyncio.run(scenario(leaves=False))
    asyncio.run(scenario(leaves=True))


def test_work_ends_or_fails__nothing_waits_for_the_client() -> None:
    async def scenario() -> None:
        client, work = Client(), Work()
        work.ends.set()
        await unless_client_leaves(client.receive, work.run())

        async def fails() -> None:
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            await unless_client_leaves(client.receive, fails())
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
