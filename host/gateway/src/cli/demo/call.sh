#!/bin/sh
# One tools/call of the demo, as a stateless client (2026-07-28) sends it.
#
#   call TENANT CALLER TOOL [ARGUMENTS]
[ $# -ge 3 ] || set -- usage
case "$1/$2" in
@CALLERS@
*) echo "usage: call TENANT CALLER TOOL [ARGUMENTS], with @WHO@" >&2; exit 2 ;;
esac
tool=$3
arguments=${4:-"{}"}
# A reply may come as an event stream of one event: show what it carries.
curl -sS "@GATEWAY@/servers/$1/mcp" \
  -H "Authorization: Bearer $token" \
  -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
  -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H "Mcp-Name: $tool" \
  -w '\n-> HTTP %{http_code}\n' -d @- <<BODY | sed -e 's/^data: //' -e '/^$/d'
{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "$tool", "arguments": $arguments,
 "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}}}
BODY
