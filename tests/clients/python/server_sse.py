"""A small MCP server of the official Python SDK over HTTP+SSE, at /sse: something to put behind the gateway.

    python server_sse.py PORT
"""

import sys
import warnings

from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

warnings.simplefilter("ignore", DeprecationWarning)

server = MCPServer("python-sse")


class Name(BaseModel):
    name: str


@server.tool()
async def echo(message: str) -> str:
    return message


@server.tool()
async def progress(steps: int, ctx: Context) -> str:
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps)
    return f"Took {steps} steps."


@server.tool()
async def greet(ctx: Context) -> str:
    """Asks the user for a name."""
    answer = await ctx.elicit("What is your name?", Name)
    return f"Hello, {answer.data.name}" if answer.action == "accept" else answer.action


@server.tool()
async def complain(ctx: Context) -> str:
    """Logs before it answers."""
    await ctx.log("warning", "it is late")
    return "logged"


server.run(transport="sse", host="127.0.0.1", port=int(sys.argv[1]))
