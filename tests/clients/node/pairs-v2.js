// @modelcontextprotocol/client 2.x with one server after another; see pairs.js.
//
//   node pairs-v2.js '{"token": …, "pairs": [{"transport": "http" | "stateless" | "sse", …}]}'

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

import { meet } from "./pairs.js";
import { requestInit } from "./walk.js";

await meet(async (pair, token) => {
  const Transport = pair.transport === "sse" ? SSEClientTransport : StreamableHTTPClientTransport;
  const transport = new Transport(new URL(pair.url), { requestInit: requestInit({ token }) });
  const mode = pair.transport === "stateless" ? { pin: "2026-07-28" } : "legacy";
  const client = new Client({ name: "portcullis-tests", version: "2.0.0" }, { versionNegotiation: { mode } });
  await client.connect(transport);
  return {
    client,
    version: client.getNegotiatedProtocolVersion(),
    call: (name, args, options) => client.callTool({ name, arguments: args }, options),
    close: async () => {
      if (transport.sessionId !== undefined) await transport.terminateSession();
      await client.close();
    },
  };
});
