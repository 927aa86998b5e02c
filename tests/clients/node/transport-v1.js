// The transports of @modelcontextprotocol/sdk 1.x, with a token on each.

import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { WebSocketClientTransport } from "@modelcontextprotocol/sdk/client/websocket.js";

import { requestInit } from "./walk.js";

const NodeWebSocket = globalThis.WebSocket;

/** @returns the transport, and a function that tells the revision once it is agreed on. */
export function transportTo({ transport: name, url: address, token }) {
  const url = new URL(address);
  const { headers } = requestInit({ token });
  // The SDK has no way to give headers to a WebSocket; Node's own can be given them.
  globalThis.WebSocket = class extends NodeWebSocket {
    constructor(address, protocols) {
      super(address, { protocols, headers });
    }
  };
  const transports = {
    http: () => new StreamableHTTPClientTransport(url, { requestInit: { headers } }),
    sse: () => new SSEClientTransport(url, { requestInit: { headers } }),
    websocket: () => new WebSocketClientTransport(url),
  };
  const transport = transports[name ?? "http"]();
  let version;
  const settle = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = (agreed) => {
    version = agreed;
    settle?.(agreed);
  };
  return { transport, version: () => version };
}
