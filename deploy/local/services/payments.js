// Takes payments and books each in the ledger, which speaks TCP: a CONNECT through the sidecar (RFC 9110 section 9.3.6).
//
//   POST /payments        takes one
//   GET  /payments        the last payments
//   GET  /admin/refunds   the admin path that no other service has any business with
import http from "node:http";

const PORT = Number(process.env.PORT);
const SIDECAR = new URL(process.env.http_proxy);
const LEDGER = "ledger.ledger:7000";
const PAYMENTS_KEPT = 50;
const BODY_BYTES_MAX = 64 * 1024;

const payments = [];

http.createServer(answer).listen(PORT, "127.0.0.1", () => process.stdout.write(`payments listens on ${PORT}\n`));

async function answer(request, response) {
  try {
    // As web frameworks do it: dot segments are resolved here too, so a path trick that came through would work.
    const { pathname } = new URL(request.url, "http://payments");
    if (request.method === "GET" && pathname === "/payments") return send(response, 200, payments);
    if (request.method === "GET" && pathname === "/admin/refunds") return send(response, 200, { refunds: "all" });
    if (request.method === "POST" && pathname === "/payments") return await take(request, response);
    return send(response, 404, { error: "no such page" });
  } catch (error) {
    return send(response, 502, { error: `the ledger did not answer: ${error.message}` });
  }
}

async function take(request, response) {
  const { order, cents } = JSON.parse(await readBody(request));
  const booked = await askLedger(`BOOK shop ${Number(cents)}`);
  if (!booked.startsWith("BOOKED ")) return send(response, 502, { error: `the ledger answered ${booked}` });
  const payment = { order: String(order), cents: Number(cents), entry: Number(booked.slice("BOOKED ".length)) };
  payments.push(payment);
  payments.splice(0, payments.length - PAYMENTS_KEPT);
  return send(response, 201, payment);
}

/** One line there, one line back, on a connection of its own. */
function askLedger(line) {
  return new Promise((resolve, reject) => {
    const connect = http.request({ host: SIDECAR.hostname, port: SIDECAR.port, method: "CONNECT", path: LEDGER });
    connect.on("error", reject);
    connect.on("response", (response) => reject(new Error(`CONNECT was answered ${response.statusCode}`)));
    connect.on("connect", (response, socket) => {
      if (response.statusCode !== 200) {
        socket.destroy();
        return reject(new Error(`CONNECT was answered ${response.statusCode}`));
      }
      let text = "";
      socket.setEncoding("utf8");
      socket.on("data", (piece) => {
        text += piece;
        if (text.includes("\n")) socket.end();
      });
      socket.on("error", reject);
      socket.on("close", () =>
        text.includes("\n") ? resolve(text.trim()) : reject(new Error("the connection ended")),
      );
      return socket.write(`${line}\n`);
    });
    connect.end();
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
