"""The official Python SDK with one server after another; what it saw of each is a line of JSON on standard output.

    python pairs.py '{"token": …, "pairs": [{"pair": …, "transport": "http" | "stateless" | "sse", "url": …,
                      "tool": …, "arguments": {…}, "long": null | {"tool": …, "short": {…}, "endless": {…}}}]}'

A line that has `failed` holds what was seen before. Nothing is judged here: the test that started this reads the lines.
"""

import asyncio
import json
import sys
from typing import Any

import anyio
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


def text_of(result: Any) -> str:
    return "".join(part.text for part in result.content if part.type == "text")


async def watched(client: Client, long: dict[str, Any], seen: dict[str, Any]) -> None:
    steps: list[float] = []

    async def on_progress(progress: float, _total: float | None, _message: str | None) -> None:
        steps.append(progress)

    seen["done"] = text_of(
        await client.call_tool(long["tool"], long["short"], progress_callback=on_progress)
    )
    seen["steps"] = steps


async def cancelled(client: Client, long: dict[str, Any]) -> bool:
    """Cancels a call when it has said that it is under way."""
    with anyio.CancelScope() as scope:

        async def on_progress(*_: Any) -> None:
            scope.cancel()

        await client.call_tool(long["tool"], long["endless"], progress_callback=on_progress)
    return scope.cancelled_caught


async def walk(client: Client, pair: dict[str, Any], seen: dict[str, Any]) -> None:
    seen["version"] = client.protocol_version
    seen["tools"] = [tool.name for tool in (await client.list_tools()).tools]
    seen["text"] = text_of(await client.call_tool(pair["tool"], pair["arguments"]))
    if long := pair["long"]:
        await watched(client, long, seen)
        seen["cancelled"] = await cancelled(client, long)
        # The connection is as good as before.
        seen["after"] = text_of(await client.call_tool(pair["tool"], pair["arguments"]))


async def meet(pair: dict[str, Any], token: str, seen: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {token}"}
    mode = "2026-07-28" if pair["transport"] == "stateless" else "legacy"
    async with create_mcp_http_client(headers=headers) as http_client:
        if pair["transport"] == "sse":
            transport = sse_client(pair["url"], headers=headers)
        else:
            transport = streamable_http_client(pair["url"], http_client=http_client)
        async with Client(transport, mode=mode, cache=None) as client:
            await walk(client, pair, seen)


async def main() -> None:
    wanted = json.loads(sys.argv[1])
    for pair in wanted["pairs"]:
        seen: dict[str, Any] = {"pair": pair["pair"]}
        try:
            await meet(pair, wanted["token"], seen)
        except Exception as error:
            seen["failed"] = repr(error)
        print(json.dumps(seen), flush=True)


asyncio.run(main())
