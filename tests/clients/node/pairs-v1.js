// @modelcontextprotocol/sdk 1.x with one server after another; see pairs.js.
//
//   node --experimental-websocket pairs-v1.js '{"token": …, "pairs": [{"transport": "http" | "sse" | "websocket", …}]}'

import { Client } from "@modelcontextprotocol/sdk/client/index.js";

import { meet } from "./pairs.js";
import { transportTo } from "./transport-v1.js";

await meet(async (pair, token) => {
  const { transport, version } = transportTo({ ...pair, token });
  const client = new Client({ name: "portcullis-tests", version: "1.0.0" });
  await client.connect(transport);
  return {
    client,
    version: version(),
    call: (name, args, options) => client.callTool({ name, arguments: args }, undefined, options),
    close: async () => {
      await transport.terminateSession?.();
      await client.close();
    },
  };
});
