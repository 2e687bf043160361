// Takes orders and has them paid. Its sidecar keeps a local port for payments, so this is plain HTTP to a neighbour.
//
//   GET  /orders          the last orders
//   POST /orders          places one; paid before it is answered
//   GET  /orders/stream   every new order as it comes (server-sent events), with a heartbeat
//   GET  /internal/export everything, for nobody in the mesh so far
import http from "node:http";

const PORT = Number(process.env.PORT);
const [PAYMENTS_HOST, PAYMENTS_PORT] = process.env.CARDEA_UPSTREAM_PAYMENTS.split(":");
const ORDERS_KEPT = 50;
const BODY_BYTES_MAX = 64 * 1024;
const HEARTBEAT_MS = 5_000;

const orders = [];
const followers = new Set();

const server = http.createServer(answer);
server.listen(PORT, "127.0.0.1", () => process.stdout.write(`orders listens on ${PORT}\n`));
setInterval(() => tell(":\n\n"), HEARTBEAT_MS).unref();

// A stream that is ended is no error to who reads it; one that is cut off is.
process.on("SIGTERM", () => {
  for (const follower of followers) follower.end();
  server.close();
  server.closeIdleConnections();
});

async function answer(request, response) {
  try {
    // As web frameworks do it: dot segments are resolved here too, so a path trick that came through would work.
    const { pathname } = new URL(request.url, "http://orders");
    if (request.method === "GET" && pathname === "/orders") return send(response, 200, orders);
    if (request.method === "GET" && pathname === "/orders/stream") return follow(response);
    if (request.method === "GET" && pathname === "/internal/export") return send(response, 200, { everything: orders });
    if (request.method === "POST" && pathname === "/orders") return await place(request, response);
    return send(response, 404, { error: "no such page" });
  } catch (error) {
    return send(response, 502, { error: `payments did not answer: ${error.message}` });
  }
}

function follow(response) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(":\n\n");
  followers.add(response);
  response.on("close", () => followers.delete(response));
}

function tell(text) {
  for (const follower of followers) follower.write(text);
}

async function place(request, response) {
  const wanted = JSON.parse(await readBody(request));
  const order = {
    id: `o-${Date.now().toString(36)}-${orders.length}`,
    item: String(wanted.item),
    cents: Number(wanted.cents),
  };
  const { status, body } = await pay(JSON.stringify({ order: order.id, cents: order.cents }));
  if (status !== 201) return send(response, 502, { error: `payments answered ${status}` });
  const placed = { ...order, payment: JSON.parse(body) };
  orders.push(placed);
  orders.splice(0, orders.length - ORDERS_KEPT);
  tell(`data: ${JSON.stringify(placed)}\n\n`);
  return send(response, 201, placed);
}

function pay(body) {
  return new Promise((resolve, reject) => {
    const options = {
      host: PAYMENTS_HOST,
      port: PAYMENTS_PORT,
      method: "POST",
      path: "/payments",
      headers: { host: "payments.payments:8080", "content-type": "application/json" },
    };
    const request = http.request(options, (response) => {
      readBody(response).then((text) => resolve({ status: response.statusCode, body: text }), reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

function readBody(stream) {
  return new Promise((resolve, reject) => {
    let text = "";
    stream.setEncoding("utf8");
    stream.on("data", (piece) => {
      text += piece;
      if (text.length > BODY_BYTES_MAX) stream.destroy(new Error("the body is too long"));
    });
    stream.on("end", () => resolve(text));
    stream.on("error", reject);
  });
}

function send(response, status, value) {
  const body = `${JSON.stringify(value)}\n`;
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}
