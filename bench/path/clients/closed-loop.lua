-- wrk's script: one path, and a body of that many bytes where the second word is not 0. The result is one JSON line.
function init(args)
  local bytes = tonumber(args[2])
  if bytes > 0 then
    request_text = wrk.format("POST", args[1], { ["content-type"] = "application/octet-stream" }, string.rep("x", bytes))
  else
    request_text = wrk.format("GET", args[1])
  end
end

function request()
  return request_text
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"durationUs":%d,"failed":%d,"p50Us":%d,"p99Us":%d}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)
  ))
end
