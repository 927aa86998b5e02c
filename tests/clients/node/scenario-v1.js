// The walk with @modelcontextprotocol/sdk 1.x: session era alone, over any of its transports.
//
//   node --experimental-websocket scenario-v1.js '{"transport": "http" | "sse" | "websocket", "url": …, "token": …,
//                                                  "echo": …, "add": …, "progress": …, "refused": …}'

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { WebSocketClientTransport } from "@modelcontextprotocol/sdk/client/websocket.js";

import { requestInit, walk, wanted } from "./walk.js";

const asked = wanted();
const { headers } = requestInit(asked);

// The SDK has no way to give headers to a WebSocket; Node's own can be given them.
const NodeWebSocket = globalThis.WebSocket;
globalThis.WebSocket = class extends NodeWebSocket {
  constructor(url, protocols) {
    super(url, { protocols, headers });
  }
};

const url = new URL(asked.url);
const transports = {
  http: () => new StreamableHTTPClientTransport(url, { requestInit: { headers } }),
  sse: () => new SSEClientTransport(url, { requestInit: { headers } }),
  websocket: () => new WebSocketClientTransport(url),
};
const transport = transports[asked.transport ?? "http"]();
let version;
const settle = transport.setProtocolVersion?.bind(transport);
transport.setProtocolVersion = (agreed) => {
  version = agreed;
  settle?.(agreed);
};
const client = new Client({ name: "portcullis-tests", version: "1.0.0" });

await client.connect(transport);
const seen = await walk(client, asked, (name, args, options) =>
  client.callTool({ name, arguments: args }, undefined, options),
);
await client.ping();
console.log(JSON.stringify({ version, session: transport.sessionId !== undefined, ...seen }));
await transport.terminateSession?.();
await client.close();
