"""As pairs.py, with the official Python SDK 1.x.

    python pairs_v1.py '{"token": …, "pairs": [{"pair": …, "transport": "http" | "sse" | "websocket", "url": …, …}]}'
"""

import asyncio
import functools
import json
import sys
import warnings
from typing import Any

from mcp import ClientSession, types
from mcp.client import websocket
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client

warnings.simplefilter("ignore", DeprecationWarning)


def transport_of(pair: dict[str, Any], headers: dict[str, str]) -> Any:
    if pair["transport"] == "sse":
        return sse_client(pair["url"], headers=headers)
    if pair["transport"] == "http":
        return streamablehttp_client(pair["url"], headers=headers)
    return websocket.websocket_client(pair["url"])


def text_of(result: Any) -> str:
    return "".join(part.text for part in result.content if part.type == "text")


async def watched(session: ClientSession, long: dict[str, Any], seen: dict[str, Any]) -> None:
    steps: list[float] = []

    async def on_progress(progress: float, _total: float | None, _message: str | None) -> None:
        steps.append(progress)

    result = await session.call_tool(long["tool"], long["short"], progress_callback=on_progress)
    seen["done"] = text_of(result)
    seen["steps"] = steps


async def cancelled(session: ClientSession, long: dict[str, Any]) -> bool:
    """Cancels a call when it has said that it is under way."""
    is_under_way = asyncio.Event()

    async def on_progress(*_: Any) -> None:
        is_under_way.set()

    # The SDK leaves it to its users to tell the server, and the request's id is nowhere else.
    request_id = session._request_id
    call = asyncio.create_task(
        session.call_tool(long["tool"], long["endless"], progress_callback=on_progress)
    )
    await is_under_way.wait()
    params = types.CancelledNotificationParams(requestId=request_id, reason="enough")
    await session.send_notification(
        types.ClientNotification(types.CancelledNotification(params=params))
    )
    call.cancel()
    try:
        await call
    except asyncio.CancelledError:
        return True
    return False


async def walk(session: ClientSession, pair: dict[str, Any], seen: dict[str, Any]) -> None:
    seen["version"] = (await session.initialize()).protocolVersion
    seen["tools"] = [tool.name for tool in (await session.list_tools()).tools]
    seen["text"] = text_of(await session.call_tool(pair["tool"], pair["arguments"]))
    if long := pair["long"]:
        await watched(session, long, seen)
        seen["cancelled"] = await cancelled(session, long)
        # The connection is as good as before.
        seen["after"] = text_of(await session.call_tool(pair["tool"], pair["arguments"]))


async def main() -> None:
    wanted = json.loads(sys.argv[1])
    headers = {"authorization": f"Bearer {wanted['token']}"}
    # The SDK has no way to give headers to a WebSocket; the library under it has.
    websocket.ws_connect = functools.partial(websocket.ws_connect, additional_headers=headers)
    for pair in wanted["pairs"]:
        seen: dict[str, Any] = {"pair": pair["pair"]}
        try:
            async with (
                transport_of(pair, headers) as (read, write, *_),
                ClientSession(read, write) as session,
            ):
                await walk(session, pair, seen)
        except Exception as error:
            seen["failed"] = repr(error)
        print(json.dumps(seen), flush=True)


asyncio.run(main())
