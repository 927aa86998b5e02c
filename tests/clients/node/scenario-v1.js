// The walk with @modelcontextprotocol/sdk 1.x: session era alone.
//
//   node scenario-v1.js '{"url": …, "token": …, "echo": …, "add": …, "progress": …, "refused": …}'

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

import { requestInit, walk, wanted } from "./walk.js";

const asked = wanted();
const transport = new StreamableHTTPClientTransport(new URL(asked.url), { requestInit: requestInit(asked) });
const client = new Client({ name: "portcullis-tests", version: "1.0.0" });

await client.connect(transport);
const seen = await walk(client, asked, (name, args, options) =>
  client.callTool({ name, arguments: args }, undefined, options),
);
await client.ping();
console.log(JSON.stringify({ version: transport.protocolVersion, session: transport.sessionId !== undefined, ...seen }));
await transport.terminateSession();
await client.close();
