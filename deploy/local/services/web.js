// The shop's front: knows orders and nobody else. Reaches it by plain HTTP through the sidecar that http_proxy names.
//
//   GET  /            what the shop knows: the last orders, and how many came over the stream
//   POST /checkout    places an order: web -> orders -> payments -> ledger
import http from "node:http";

const PORT = Number(process.env.PORT);
const SIDECAR = new URL(process.env.http_proxy);
const ORDERS = "http://orders.shop:8080";
const RETRY_MS = 1_000;

let streamed = 0;

http.createServer(answer).listen(PORT, "127.0.0.1", () => process.stdout.write(`web listens on ${PORT}\n`));
followOrders();

async function answer(request, response) {
  try {
    if (request.method === "GET" && request.url === "/") {
      const { status, body } = await call("GET", "/orders");
      return send(response, status, { shop: "Cardea's", streamed, orders: JSON.parse(body) });
    }
    if (request.method === "POST" && request.url === "/checkout") {
      const { status, body } = await call("POST", "/orders", JSON.stringify({ item: "heart-shaped key", cents: 4200 }));
      return send(response, status, JSON.parse(body));
    }
    return send(response, 404, { error: "no such page" });
  } catch (error) {
    return send(response, 502, { error: `orders did not answer: ${error.message}` });
  }
}

/** Server-sent events, for as long as the connection lives; then again. */
function followOrders() {
  const again = () => setTimeout(followOrders, RETRY_MS);
  const request = http.request(throughSidecar("GET", "/orders/stream"), (response) => {
    response.setEncoding("utf8");
    response.on("data", (text) => (streamed += text.split("\n").filter((line) => line.startsWith("data:")).length));
    response.on("close", again);
  });
  request.on("error", again);
  request.end();
}

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(throughSidecar(method, path), (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece) => (text += piece));
      response.on("end", () => resolve({ status: response.statusCode, body: text || "null" }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** A forward proxy takes the whole URL as the request's target (RFC 9112 section 3.2.2). */
function throughSidecar(method, path) {
  const url = new URL(path, ORDERS);
  return { host: SIDECAR.hostname, port: SIDECAR.port, method, path: url.href, headers: { host: url.host } };
}

function send(response, status, value) {
  const body = `${JSON.stringify(value)}\n`;
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}
