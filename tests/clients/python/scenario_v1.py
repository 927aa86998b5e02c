"""The walk with the official Python SDK 1.x, which speaks the transports that later ones have dropped.

    python scenario_v1.py '{"transport": "sse" | "websocket", "url": …, "token": …,
                            "echo": …, "add": …, "progress": …, "refused": …}'

What it saw goes to standard output as JSON, in the shape of scenario.py.
"""

import asyncio
import functools
import json
import sys
import warnings
from typing import Any

from mcp import ClientSession, McpError
from mcp.client import websocket
from mcp.client.sse import sse_client

STEPS = 3

warnings.simplefilter("ignore", DeprecationWarning)


def transport_of(wanted: dict[str, str]) -> Any:
    headers = {"authorization": f"Bearer {wanted['token']}"}
    if wanted["transport"] == "sse":
        return sse_client(wanted["url"], headers=headers)
    # The SDK has no way to give headers to a WebSocket; the library under it has.
    websocket.ws_connect = functools.partial(websocket.ws_connect, additional_headers=headers)
    return websocket.websocket_client(wanted["url"])


def text_of(result: Any) -> str:
    return "".join(part.text for part in result.content if part.type == "text")


async def error_of(call: Any) -> dict[str, Any] | None:
    try:
        await call
    except McpError as error:
        return {"code": error.error.code, "message": error.error.message}
    return None


async def walk(session: ClientSession, wanted: dict[str, str]) -> dict[str, Any]:
    seen: list[float] = []

    async def on_progress(progress: float, _total: float | None, _message: str | None) -> None:
        seen.append(progress)

    opened = await session.initialize()
    tools = await session.list_tools()
    echo = await session.call_tool(wanted["echo"], {"message": "grüße, 1.10"})
    add = await session.call_tool(wanted["add"], {"a": 2, "b": 40})
    progress = await session.call_tool(
        wanted["progress"], {"steps": STEPS}, progress_callback=on_progress
    )
    return {
        "version": opened.protocolVersion,
        "tools": [tool.name for tool in tools.tools],
        "echo": text_of(echo),
        "add": text_of(add),
        "progress": text_of(progress),
        "steps": seen,
        "refused": await error_of(session.call_tool(wanted["refused"], {"id": "C-1"})),
        "unknown": await error_of(session.call_tool("no-such-tool", {})),
    }


async def main() -> None:
    wanted = json.loads(sys.argv[1])
    async with transport_of(wanted) as (read, write), ClientSession(read, write) as session:
        print(json.dumps(await walk(session, wanted)))


asyncio.run(main())
