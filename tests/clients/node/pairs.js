// One client with one server after another, shared by both generations of the official SDK; what it saw of each is a
// line of JSON on standard output.
//
// It is given {"token": …, "pairs": [{"pair": …, "transport": …, "url": …, "tool": …, "arguments": {…},
// "long": null | {"tool": …, "short": {…}, "endless": {…}}}]}. A line that has `failed` holds what was seen before.
// Nothing is judged here: the test that started this reads the lines.

import { textOf, wanted } from "./walk.js";

/** @param call calls a tool: (name, arguments, options) => result */
async function watched(long, call, seen) {
  const steps = [];
  const onprogress = ({ progress }) => steps.push(progress);
  seen.done = textOf(await call(long.tool, long.short, { onprogress }));
  seen.steps = steps;
}

/** Cancels a call when it has said that it is under way. */
async function cancelled(long, call) {
  const end = new AbortController();
  const onprogress = () => end.abort("enough");
  try {
    await call(long.tool, long.endless, { onprogress, signal: end.signal });
    return false;
  } catch (error) {
    if (!end.signal.aborted) throw error;
    return true;
  }
}

async function walk({ client, version, call }, pair, seen) {
  seen.version = version;
  const { tools } = await client.listTools();
  seen.tools = tools.map((tool) => tool.name);
  seen.text = textOf(await call(pair.tool, pair.arguments));
  if (pair.long === null) return;
  await watched(pair.long, call, seen);
  seen.cancelled = await cancelled(pair.long, call);
  // The connection is as good as before.
  seen.after = textOf(await call(pair.tool, pair.arguments));
}

/** @param open connects to a pair's server: (pair, token) => { client, version, call, close } */
export async function meet(open) {
  const { token, pairs } = wanted();
  for (const pair of pairs) {
    const seen = { pair: pair.pair };
    try {
      const opened = await open(pair, token);
      try {
        await walk(opened, pair, seen);
      } finally {
        await opened.close();
      }
    } catch (error) {
      seen.failed = `${error.stack ?? error}`;
    }
    console.log(JSON.stringify(seen));
  }
}
