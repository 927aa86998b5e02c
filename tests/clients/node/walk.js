// One walk of a connected client through an MCP server, shared by both generations of the official SDK.
//
// Tools are given by the names that the server lists. Nothing is judged here: the test that started this reads the JSON.

const STEPS = 3;

export const textOf = (result) =>
  result.content
    .filter((part) => part.type === "text")
    .map((part) => part.text)
    .join("");

const errorOf = async (call) => {
  try {
    await call();
    return null;
  } catch (error) {
    return { code: error.code, message: error.message };
  }
};

/** @param call calls a tool: (name, arguments, options) => result */
export async function walk(client, wanted, call) {
  const seen = [];
  const onprogress = ({ progress }) => seen.push(progress);
  const { tools } = await client.listTools();
  return {
    tools: tools.map((tool) => tool.name),
    echo: textOf(await call(wanted.echo, { message: "grüße, 1.10" })),
    add: textOf(await call(wanted.add, { a: 2, b: 40 })),
    progress: textOf(await call(wanted.progress, { steps: STEPS }, { onprogress })),
    steps: seen,
    refused: await errorOf(() => call(wanted.refused, { id: "C-1" })),
    unknown: await errorOf(() => call("no-such-tool", {})),
  };
}

export const wanted = () => JSON.parse(process.argv[2]);

export const requestInit = ({ token }) => ({ headers: { authorization: `Bearer ${token}` } });
