# A small MCP server over standard input and output. $MODE says how it misbehaves. Calls bring what it is to say before
# and after its answer, or have it hold the answer back until the next call; what it was answered and asked to tell is in
# every answer.
import json, os, signal, subprocess, sys

mode = os.environ.get("MODE", "")
answers, wishes, held, child = {}, [], [], None


def send(message):
    sys.stdout.write(message if isinstance(message, str) else json.dumps({"jsonrpc": "2.0", **message}))
    sys.stdout.write("\n")
    sys.stdout.flush()


def answer(message):
    method, id, params = message["method"], message["id"], message.get("params", {})
    if method == "initialize" and mode != "stateless":
        wishes.append(params["capabilities"])
        send({"id": id, "result": {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "p", "version": "1"}}})
    elif method == "server/discover" and mode == "stateless":
        send({"id": id, "result": {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}}})
    elif method == "subscriptions/listen" and mode == "stateless":
        wishes.append(["listen", params["notifications"]])
    elif method == "tools/list":
        send({"id": id, "result": {"tools": [{"name": "info", "_meta": {"wishes": wishes, "answers": answers}}]}})
    elif method == "tools/call" and mode != "silent":
        arguments = params.get("arguments") or {}
        for said in arguments.get("before", []) * arguments.get("times", 1):
            send(said)
        if arguments.get("crash"):
            os._exit(70)
        held.append(id)
        while held and not arguments.get("hold"):
            send({"id": held.pop(), "result": {
                "pid": os.getpid(), "child": child, "env": sorted(os.environ), "answers": answers, "wishes": wishes,
                "meta": params.get("_meta"), "arguments": params.get("arguments")}})
        for said in arguments.get("after", []) * arguments.get("times", 1):
            send(said)
    elif method in ("resources/subscribe", "resources/unsubscribe", "logging/setLevel"):
        wishes.append([method.split("/")[1], params.get("uri") or params.get("level")])
        if params.get("uri") == "test://forbidden":
            send({"id": id, "error": {"code": -32002, "message": "Resource not found"}})
        else:
            send({"id": id, "result": {}})
    elif method != "tools/call":
        send({"id": id, "error": {"code": -32601, "message": "Method not found"}})


def read():
    line = sys.stdin.readline()
    return json.loads(line) if line else None


if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).pid

print("hello, log", file=sys.stderr)
if mode == "noisy":
    send("Starting…")
    send('{"jsonrpc":"2.0","id":999,"result":{}}')
    send({"method": "notifications/progress", "params": {"progressToken": "nobody", "progress": 1}})
    send("[]")
    send("")
    send({"method": "notifications/message", "params": {"level": "info", "data": "ignored"}})

while (message := read()) is not None:
    if message.get("method") == "notifications/initialized" and mode == "noisy":
        send({"id": "p", "method": "ping"})
        send({"id": "r", "method": "roots/list"})
        early = []
        while len(answers) < 2:
            reply = read()
            if "method" in reply:
                early.append(reply)
            elif "error" in reply:
                answers[{"p": "ping", "r": "roots"}[reply["id"]]] = {"error": reply["error"]["code"]}
            else:
                answers[{"p": "ping", "r": "roots"}[reply["id"]]] = {"result": reply["result"]}
        for request in early:
            answer(request)
    elif "method" not in message:
        answers[message["id"]] = {"error": message["error"]["code"]} if "error" in message else {"result": message["result"]}
    elif "id" in message:
        answer(message)
    elif message["method"] == "notifications/roots/list_changed":
        wishes.append(["list_changed", "roots"])
    elif message["method"] == "notifications/cancelled" and mode == "stateless":
        wishes.append(["cancelled"])

while mode == "stubborn":
    signal.pause()
