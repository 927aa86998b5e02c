// The command line of the official MCP Inspector with one server after another; what it saw of each is a line of JSON on
// standard output.
//
//   node pairs.js '{"token": …, "pairs": [{"pair": …, "transport": "http" | "stateless" | "sse", "url": …,
//                   "tool": …, "arguments": {…}, …}]}'
//
// A command is a connection and one request. All of them are given to its own entry point in this process, as the
// Inspector's launcher does it, since a process for each would take longer than the rest of the test. A line that has
// `failed` holds what was seen before. Nothing is judged here: the test that started this reads the lines.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "inspector-"));
const output = join(folder, "result.json");
// It keeps nothing of this user's, and finds nothing there.
process.env.HOME = folder;
process.env.MCP_INSPECTOR_SECRET_STORE = "memory";
const { runCli } = await import("./node_modules/@modelcontextprotocol/inspector/clients/cli/build/index.js");

async function run({ transport, url }, token, method, ...options) {
  const [way, era] = transport === "stateless" ? ["http", "modern"] : [transport, "legacy"];
  const connect = ["--server-url", url, "--transport", way, "--protocol-era", era];
  const authorize = ["--header", `Authorization: Bearer ${token}`, "--stored-auth-only"];
  const print = ["--quiet", "--output", output, "--output-format", "json"];
  const asked = ["--method", method, ...options];
  await runCli([process.execPath, "inspector-cli", ...connect, ...authorize, ...print, ...asked]);
  return JSON.parse(readFileSync(output, "utf8"));
}

async function walk(pair, token, seen) {
  seen.version = (await run(pair, token, "initialize")).protocolVersion;
  seen.tools = (await run(pair, token, "tools/list")).tools.map((tool) => tool.name);
  const args = ["--tool-name", pair.tool, "--tool-args-json", JSON.stringify(pair.arguments)];
  const { content } = await run(pair, token, "tools/call", ...args);
  seen.text = content.map((part) => part.text ?? "").join("");
}

const { token, pairs } = JSON.parse(process.argv[2]);
for (const pair of pairs) {
  const seen = { pair: pair.pair };
  try {
    await walk(pair, token, seen);
  } catch (error) {
    seen.failed = `${error.stack ?? error}`;
  }
  console.log(JSON.stringify(seen));
}
rmSync(folder, { recursive: true });
