// The walk with @modelcontextprotocol/sdk 1.x: session era alone, over any of its transports.
//
//   node --experimental-websocket scenario-v1.js '{"transport": "http" | "sse" | "websocket", "url": …, "token": …,
//                                                  "echo": …, "add": …, "progress": …, "refused": …}'

import { Client } from "@modelcontextprotocol/sdk/client/index.js";

import { transportTo } from "./transport-v1.js";
import { walk, wanted } from "./walk.js";

const asked = wanted();
const { transport, version } = transportTo(asked);
const client = new Client({ name: "portcullis-tests", version: "1.0.0" });

await client.connect(transport);
const seen = await walk(client, asked, (name, args, options) =>
  client.callTool({ name, arguments: args }, undefined, options),
);
await client.ping();
console.log(JSON.stringify({ version: version(), session: transport.sessionId !== undefined, ...seen }));
await transport.terminateSession?.();
await client.close();
