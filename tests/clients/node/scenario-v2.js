// The walk with @modelcontextprotocol/client 2.x, in the era that is asked for.
//
//   node scenario-v2.js '{"url": …, "token": …, "era": "session" | "stateless", "echo": …, …}'

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

import { requestInit, walk, wanted } from "./walk.js";

const asked = wanted();
const mode = asked.era === "session" ? "legacy" : { pin: "2026-07-28" };
const transport = new StreamableHTTPClientTransport(new URL(asked.url), { requestInit: requestInit(asked) });
const client = new Client({ name: "portcullis-tests", version: "2.0.0" }, { versionNegotiation: { mode } });

await client.connect(transport);
const seen = await walk(client, asked, (name, args, options) => client.callTool({ name, arguments: args }, options));
console.log(
  JSON.stringify({
    version: client.getNegotiatedProtocolVersion(),
    session: transport.sessionId !== undefined,
    ...seen,
  }),
);
if (transport.sessionId !== undefined) await transport.terminateSession();
await client.close();
