-- wrk -s cycle.lua URL -- BODIES: posts the lines of the file BODIES in turn, then prints one line of JSON.

local requests, next = {}, 0

function init(arguments)
   wrk.headers["Content-Type"] = "application/json"
   for body in io.lines(arguments[1]) do
      requests[#requests + 1] = wrk.format("POST", nil, nil, body)
   end
end

function request()
   next = next % #requests + 1
   return requests[next]
end

function done(summary, latency)
   local errors = summary.errors
   print(string.format(
      '{"median": %f, "p99": %f, "per_second": %f, "errors": %d}',
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      summary.requests / summary.duration * 1e6,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
