// The service that w3c/trace-context's harness talks to, as an app of a mesh: it calls back whom it is told to, through its
// sidecar, and passes the trace context on exactly as it came. What the harness sees is then what two pairs of sidecars made of
// it.
import { createServer, request } from "node:http";

const [host, port] = process.env.CARDEA_UPSTREAM_HARNESS.split(":");

createServer(async (incoming, answer) => {
  const pieces = [];
  for await (const piece of incoming) pieces.push(piece);
  const actions = JSON.parse(Buffer.concat(pieces).toString()) ?? [];
  const context = [];
  for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
    const [name, value] = incoming.rawHeaders.slice(i, i + 2);
    if (/^(traceparent|tracestate)$/i.test(name)) context.push(name, value);
  }
  for (const { url, arguments: body } of actions)
    await post(new URL(url).pathname, JSON.stringify(body ?? []), context);
  answer.setHeader("content-type", "application/json").end("{}");
}).listen(Number(process.env.PORT), "127.0.0.1");

function post(path, body, context) {
  return new Promise((resolve, reject) => {
    const fields = ["host", "harness.test", "content-type", "application/json", "content-length", `${body.length}`];
    const call = request({ host, port, method: "POST", path, headers: [...fields, ...context] }, (answer) => {
      answer.resume();
      answer.on("end", resolve);
    });
    call.on("error", reject);
    call.end(body);
  });
}
