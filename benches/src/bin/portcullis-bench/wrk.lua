-- wrk's side of the whole walk: tools/call over the callers' sessions in turn, and the result as one line of JSON.
--
-- Arguments: a file with one caller a line (token, a tab, session), the path, the tool, the call's arguments.

local prepared = {}
local at = 0

function init(args)
  local path, tool, arguments = args[2], args[3], args[4]
  local callers = {}
  for line in io.lines(args[1]) do
    local token, session = line:match("^(%S+)\t(%S+)$")
    callers[#callers + 1] = { token = token, session = session }
  end
  -- Messages are made beforehand, with ids that do not come twice while one is under way.
  local rounds = math.max(1, math.floor(4096 / #callers))
  for round = 1, rounds do
    for _, caller in ipairs(callers) do
      local headers = {
        ["Content-Type"] = "application/json",
        ["Accept"] = "application/json, text/event-stream",
        ["Authorization"] = "Bearer " .. caller.token,
        ["Mcp-Session-Id"] = caller.session,
        ["Mcp-Protocol-Version"] = "2025-11-25",
      }
      local body = string.format(
        '{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"%s","arguments":%s}}',
        #prepared + 10000, tool, arguments)
      prepared[#prepared + 1] = wrk.format("POST", path, headers, body)
    end
  end
end

function request()
  at = at % #prepared + 1
  return prepared[at]
end

function done(summary, latency, _)
  local failed = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"duration_us":%d,"bytes":%d,"p50_us":%d,"p90_us":%d,"p99_us":%d,"p999_us":%d,"max_us":%d,' ..
    '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(90),
    latency:percentile(99), latency:percentile(99.9), latency.max,
    failed.connect, failed.read, failed.write, failed.status, failed.timeout))
end
