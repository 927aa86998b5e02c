"""One walk of the official Python SDK through an MCP server; what it saw goes to standard output as JSON.

    python scenario.py '{"transport": "http" | "sse", "url": …, "token": …, "era": "session" | "stateless",
                         "echo": …, "add": …, "progress": …, "refused": …}'

Tools are given by the names that the server lists. Nothing is judged here: the test that started this reads the JSON.
"""

import asyncio
import json
import sys
from typing import Any

from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

STEPS = 3


def text_of(result: Any) -> str:
    return "".join(part.text for part in result.content if part.type == "text")


async def error_of(call: Any) -> dict[str, Any] | None:
    try:
        await call
    except MCPError as error:
        return {"code": error.code, "message": error.message}
    return None


async def walk(client: Client, wanted: dict[str, str]) -> dict[str, Any]:
    seen: list[float] = []

    async def on_progress(progress: float, _total: float | None, _message: str | None) -> None:
        seen.append(progress)

    tools = await client.list_tools()
    echo = await client.call_tool(wanted["echo"], {"message": "grüße, 1.10"})
    add = await client.call_tool(wanted["add"], {"a": 2, "b": 40})
    progress = await client.call_tool(
        wanted["progress"], {"steps": STEPS}, progress_callback=on_progress
    )
    return {
        "version": client.protocol_version,
        "tools": [tool.name for tool in tools.tools],
        "echo": text_of(echo),
        "add": text_of(add),
        "progress": text_of(progress),
        "steps": seen,
        "refused": await error_of(client.call_tool(wanted["refused"], {"id": "C-1"})),
        "unknown": await error_of(client.call_tool("no-such-tool", {})),
    }


async def main() -> None:
    wanted = json.loads(sys.argv[1])
    mode = "legacy" if wanted["era"] == "session" else "2026-07-28"
    headers = {"authorization": f"Bearer {wanted['token']}"}
    async with create_mcp_http_client(headers=headers) as http_client:
        if wanted.get("transport") == "sse":
            transport = sse_client(wanted["url"], headers=headers)
        else:
            transport = streamable_http_client(wanted["url"], http_client=http_client)
        async with Client(transport, mode=mode, cache=None) as client:
            print(json.dumps(await walk(client, wanted)))


asyncio.run(main())
