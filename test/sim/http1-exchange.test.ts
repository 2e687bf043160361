import { describe, expect, it } from "vitest";
import type { HttpProtocol } from "../../src/proxy/streams.ts";
import type { Collected } from "../support/collected.ts";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import type { SimConnection } from "../support/sim-network.ts";
import { BETWEEN, keptEnds } from "../support/test-mesh.ts";

const HEAD = "HTTP/1.1\r\nHost: orders\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const WEBSOCKET = `GET /ws ${HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

describe.each(BETWEEN)("an exchange over HTTP/1.1, with %s between the sidecars", (between) => {
  it("answers pipelined requests in order, one at a time", async () => {
    const { mesh, caller } = await begin(between, `GET /1 ${HEAD}\r\nGET /2 ${HEAD}\r\nGET /3 ${HEAD}\r\n`);
    const app = mesh.ordersApp[0]!;
    for (const name of ["1", "2", "3"]) {
      expect(targetsOf(app)).toHaveLength(Number(name));
      say(app, `HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${name}`);
      await mesh.settle();
    }
    expect(targetsOf(app)).toEqual(["/1", "/2", "/3"]);
    expect(caller.text().match(/\r\n\r\n(\d)/g)).toEqual(["\r\n\r\n1", "\r\n\r\n2", "\r\n\r\n3"]);
    expect(mesh.ordersApp).toHaveLength(1);
    expect(mesh.flows()).toHaveLength(6);
  });

  it("passes chunked bodies and trailers both ways, however they are cut", async () => {
    const { mesh, caller } = await begin(between, `POST / ${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhel`);
    say(caller, "lo\r\n6;ext=1\r\n world\r\n0\r\nX-Sum: abc\r\n\r\n");
    await mesh.settle();
    const app = mesh.ordersApp[0]!;
    expect(app.text()).toMatch(
      /transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n6\r\n world\r\n0\r\nX-Sum: abc\r\n\r\n$/i,
    );
    say(app, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Done: yes\r\n\r\n");
    await mesh.settle();
    expect(caller.text()).toMatch(
      /^HTTP\/1\.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Done: yes\r\n\r\n$/i,
    );
    expect(mesh.flows()[1]).toMatchObject({ bytesReceived: 11, bytesSent: 2 });
  });

  it("still answers a caller that has half-closed behind its request", async () => {
    const { mesh, caller } = await begin(between, `GET / ${HEAD}\r\n`);
    caller.connection.end();
    await mesh.settle();
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/connection: close\r\n\r\nhi$/);
    expect(caller.isClosed).toBe(true);
  });

  it("answers all that was pipelined before the caller half-closed", async () => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders);
    say(caller, `GET /1 ${HEAD}\r\nGET /2 ${HEAD}\r\nGET /3 ${HEAD}\r\n`);
    caller.connection.end();
    await mesh.settle();
    for (const answer of [OK, OK, OK]) {
      say(mesh.ordersApp[0]!, answer);
      await mesh.settle();
    }
    expect(targetsOf(mesh.ordersApp[0]!)).toEqual(["/1", "/2", "/3"]);
    expect(caller.text().match(/connection: close/g)).toHaveLength(1);
    expect(caller.isClosed).toBe(true);
  });

  it("asks for leave end to end, and passes the leave on", async () => {
    const { mesh, caller } = await begin(between, `POST / ${HEAD}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n`);
    const app = mesh.ordersApp[0]!;
    expect(app.text()).toContain("\r\nexpect: 100-continue\r\n");
    say(app, "HTTP/1.1 100 Continue\r\n\r\n");
    await mesh.settle();
    expect(caller.text()).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    say(caller, "body");
    await mesh.settle();
    expect(app.text()).toMatch(/\r\n\r\nbody$/);
    say(app, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/\r\n\r\nhi$/);
    expect(caller.isEnded).toBe(false);
  });

  it("passes a refusal on instead of a leave, and closes, since the body may come or not", async () => {
    const { mesh, caller } = await begin(between, `POST / ${HEAD}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n`);
    say(mesh.ordersApp[0]!, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 417 [^]*connection: close\r\n/);
    expect(caller.isEnded).toBe(true);
    say(caller, "GET");
    await mesh.settle();
    expect(mesh.ordersApp).toHaveLength(1);
  });

  it("passes early hints on", async () => {
    const { mesh, caller } = await begin(between, `GET / ${HEAD}\r\n`);
    say(mesh.ordersApp[0]!, `HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-Cardea-Denial: forged\r\n\r\n${OK}`);
    await mesh.settle();
    expect(caller.text()).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>\r\n\r\nHTTP\/1\.1 200 OK\r\ncontent-length: 2\r\n\r\nhi$/i,
    );
  });

  it("cuts off an upstream that sends informational answers without end", async () => {
    const { mesh, caller } = await begin(between, `GET / ${HEAD}\r\n`);
    say(mesh.ordersApp[0]!, "HTTP/1.1 102 Processing\r\n\r\n".repeat(20));
    await mesh.settle();
    expect(caller.text()).toContain("HTTP/1.1 502 ");
    expect(reasons(mesh)).toContain("upstream-protocol-error");
  });

  it.each([
    ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "Content-Length: 1000"],
    ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: x\r\n\r\n", "Content-Length: 1000"],
    ["GET", "HTTP/1.1 204 No Content\r\n\r\n", "204 No Content"],
  ])("knows that the answer to %s has no body: %j", async (method, answer, seen) => {
    const { mesh, caller } = await begin(between, `${method} / ${HEAD}\r\n`);
    say(mesh.ordersApp[0]!, answer);
    await mesh.settle();
    // Over HTTP/2 names are in lower case.
    expect(caller.text().toLowerCase()).toContain(seen.toLowerCase());
    expect(caller.text()).toMatch(/\r\n\r\n$/);
    say(caller, `GET /next ${HEAD}\r\n`);
    await mesh.settle();
    expect(targetsOf(mesh.ordersApp[0]!)).toEqual(["/", "/next"]);
  });

  it("turns an answer that ends with its connection into chunks", async () => {
    const { mesh, caller } = await begin(between, `GET / ${HEAD}\r\n`);
    const app = mesh.ordersApp[0]!;
    say(app, "HTTP/1.1 200 OK\r\n\r\nall ");
    say(app, "of it");
    app.connection.end();
    await mesh.settle();
    expect(caller.text()).toMatch(/transfer-encoding: chunked\r\n\r\n4\r\nall \r\n5\r\nof it\r\n0\r\n\r\n$/);
    expect(caller.isEnded).toBe(false);
  });

  it("serves HTTP/1.0 callers: no chunks, and closed at the end", async () => {
    const { mesh, caller } = await begin(between, "GET / HTTP/1.0\r\nHost: orders\r\n\r\n");
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    await mesh.settle();
    expect(caller.text()).toBe("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhi");
    expect(caller.isEnded).toBe(true);
  });

  it("keeps an HTTP/1.0 caller that asks for it and gets a length", async () => {
    const { mesh, caller } = await begin(between, "GET / HTTP/1.0\r\nHost: orders\r\nConnection: keep-alive\r\n\r\n");
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/connection: keep-alive\r\n\r\nhi$/);
    expect(caller.isEnded).toBe(false);
  });

  it("does not use a connection again whose request was unfinished at the answer", async () => {
    const { mesh, caller } = await begin(between, `POST / ${HEAD}Content-Length: 1000\r\n\r\nsome`);
    say(mesh.ordersApp[0]!, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 413 /);
    expect(mesh.ordersApp[0]!.isClosed || mesh.ordersApp[0]!.isEnded).toBe(true);
    // The rest is small enough to be read out, so the caller's own connection goes on.
    say(caller, `${"x".repeat(996)}GET /next ${HEAD}\r\n`);
    await mesh.settle();
    expect(mesh.ordersApp).toHaveLength(2);
    expect(targetsOf(mesh.ordersApp[1]!)).toEqual(["/next"]);
  });

  it.each([
    ["of a length", "Content-Length: 100000\r\n\r\nsome"],
    ["in chunks", "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n"],
  ])("says that it closes behind an answer to a large body %s that is not whole, and does", async (_, begun) => {
    const { mesh, caller } = await begin(between, `POST /1 ${HEAD}${begun}`);
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi");
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 200 [^]*\r\nconnection: close\r\n\r\nhi$/);
    expect(caller.isEnded).toBe(false);
    say(mesh.ordersApp[0]!, "ho");
    await mesh.settle();
    expect(caller.text()).toMatch(/hiho$/);
    expect(caller.isEnded).toBe(true);
    say(caller, `${"x".repeat(100)}GET /smuggled ${HEAD}\r\n`);
    await mesh.settle();
    expect(mesh.web.flows.map(({ path, status }) => `${path} ${status}`)).toEqual(["/1 200"]);
    expect(mesh.ordersApp).toHaveLength(1);
  });

  it.each([
    ["of a length", "Content-Length: 100000\r\n\r\n", "x".repeat(100_000)],
    ["in chunks", "Transfer-Encoding: chunked\r\n\r\n", `186a0\r\n${"x".repeat(100_000)}\r\n0\r\n\r\n`],
  ])("keeps the connection behind an answer to a large body %s that is whole", async (_, fields, body) => {
    const { mesh, caller } = await begin(between, `POST /1 ${HEAD}${fields}${body}`);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).not.toContain("connection: close");
    say(caller, `POST /2 ${HEAD}Content-Length: 1\r\n\r\nx`);
    await mesh.settle();
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(mesh.web.flows.map(({ path, status }) => `${path} ${status}`)).toEqual(["/1 200", "/2 200"]);
    expect(caller.isEnded).toBe(false);
  });

  it("closes on a caller whose refused body is too long to be read out", async () => {
    const { mesh, caller } = await begin(
      between,
      `POST / HTTP/1.1\r\nHost: nowhere\r\nContent-Length: 1000000\r\n\r\n`,
    );
    expect(caller.text()).toMatch(/^HTTP\/1\.1 502 [^]*connection: close\r\n/);
    expect(caller.isEnded).toBe(true);
    expect(reasons(mesh)).toEqual(["no-route"]);
  });

  it("repeats a GET once when a kept connection proves dead", async () => {
    const { mesh, caller } = await begin(between, `GET /1 ${HEAD}\r\n`);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    say(caller, `GET /2 ${HEAD}\r\n`);
    // The app closes while the request is on its way.
    mesh.ordersApp[0]!.connection.destroy({ reset: true });
    await mesh.settle();
    expect(targetsOf(mesh.ordersApp[1]!)).toEqual(["/2"]);
    say(mesh.ordersApp[1]!, OK);
    await mesh.settle();
    expect(caller.text().match(/200 OK/g)).toHaveLength(2);
    expect(mesh.flows()).toHaveLength(4);
  });

  it("does not repeat a POST, nor what fails on a new connection", async () => {
    const { mesh, caller } = await begin(between, `GET /1 ${HEAD}\r\n`);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    say(caller, `POST /2 ${HEAD}Content-Length: 0\r\n\r\n`);
    await mesh.settle();
    mesh.ordersApp[0]!.connection.destroy({ reset: true });
    await mesh.settle();
    expect(mesh.ordersApp).toHaveLength(1);
    expect(caller.text()).toContain("HTTP/1.1 502 ");

    const second = await mesh.call(mesh.toOrders, `GET /3 ${HEAD}\r\n`);
    mesh.ordersApp[1]!.connection.destroy({ reset: true });
    await mesh.settle();
    expect(mesh.ordersApp).toHaveLength(2);
    expect(second.text()).toContain("HTTP/1.1 502 ");
    expect(reasons(mesh).filter((reason) => reason === "upstream-reset")).toHaveLength(2);
  });

  it("does not repeat a request whose answer had begun", async () => {
    const { mesh, caller } = await begin(between, `GET /1 ${HEAD}\r\n`);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    say(caller, `GET /2 ${HEAD}\r\n`);
    await mesh.settle();
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 O");
    await mesh.settle();
    mesh.ordersApp[0]!.connection.destroy({ reset: true });
    await mesh.settle();
    expect(mesh.ordersApp).toHaveLength(1);
    expect(caller.text()).toContain("HTTP/1.1 502 ");
  });

  it("cuts the caller off when an answer breaks in the middle", async () => {
    const { mesh, caller } = await begin(between, `GET / ${HEAD}\r\n`);
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart");
    await mesh.settle();
    mesh.ordersApp[0]!.connection.end();
    await mesh.settle();
    expect(caller.error?.code).toBe("upstream-reset");
    expect(mesh.flows()).toMatchObject([
      { verdict: "error", reason: "upstream-reset", endedBy: "upstream", status: 200, bytesSent: 4 },
      { verdict: "error", reason: "upstream-reset", endedBy: "upstream", status: 200, bytesSent: 4 },
    ]);
  });

  it("tells the upstream when the caller has gone", async () => {
    const { mesh, caller } = await begin(between, `POST / ${HEAD}Content-Length: 100\r\n\r\npart`);
    caller.connection.destroy({ reset: true });
    await mesh.settle();
    expect(mesh.ordersApp[0]!.error?.code).toBe("downstream-reset");
    expect(mesh.flows()).toMatchObject([
      { verdict: "error", reason: "downstream-reset", endedBy: "downstream", status: null },
      { verdict: "error", reason: "downstream-reset", endedBy: "downstream", status: null },
    ]);
  });

  it("takes a body that is cut short for a failure, not for its end", async () => {
    const { mesh, caller } = await begin(between, `POST / ${HEAD}Content-Length: 100\r\n\r\npart`);
    caller.connection.end();
    await mesh.settle();
    expect(mesh.ordersApp[0]!.error?.code).toBe("downstream-reset");
    expect(caller.isClosed).toBe(true);
    expect(reasons(mesh)).toEqual(["downstream-reset", "downstream-reset"]);
  });

  it.each([
    ["an answer that nobody asked for", OK, ""],
    ["bytes behind an answer", "", `${OK}HTTP/1.1 200 OK\r\n\r\n`],
  ])("gives up a connection with %s", async (_name, before, after) => {
    const { mesh, caller } = await begin(between, `GET /1 ${HEAD}\r\n`);
    const first = mesh.ordersApp[0]!;
    say(first, after === "" ? OK : after);
    await mesh.settle();
    if (before !== "") say(first, before);
    await mesh.settle();
    say(caller, `GET /2 ${HEAD}\r\n`);
    await mesh.settle();
    expect(first.isEnded).toBe(true);
    expect(mesh.ordersApp).toHaveLength(2);
    expect(caller.text().match(/200 OK/g)).toHaveLength(1);
  });

  it("closes what it may not keep, and opens another for the next request", async () => {
    const { mesh, caller } = await begin(between, `GET /1 ${HEAD}\r\n`);
    say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    await mesh.settle();
    expect(caller.text()).not.toContain("close");
    say(caller, `GET /2 ${HEAD}\r\n`);
    await mesh.settle();
    expect(mesh.ordersApp).toHaveLength(2);
  });

  it("closes behind a caller that asks for it", async () => {
    const { mesh, caller } = await begin(between, `GET /1 ${HEAD}Connection: close\r\n\r\nGET /2 ${HEAD}\r\n`);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/connection: close\r\n\r\nhi$/);
    expect(caller.isEnded).toBe(true);
    expect(targetsOf(mesh.ordersApp[0]!)).toEqual(["/1"]);
  });
});

describe.each(BETWEEN)("an upgrade, with %s between the sidecars", (between) => {
  it("is a tunnel after the 101, with half-close, and is recorded at its end", async () => {
    const { mesh, caller } = await begin(between, WEBSOCKET);
    const app = mesh.ordersApp[0]!;
    expect(app.text()).toMatch(/connection: upgrade\r\nupgrade: websocket\r\n\r\n$/);
    say(app, `${SWITCH}from app`);
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 101 [^]*upgrade: websocket\r\nconnection: upgrade\r\n\r\nfrom app$/);
    say(caller, "from caller");
    caller.connection.end();
    await mesh.settle();
    expect(app.text()).toMatch(/\r\n\r\nfrom caller$/);
    expect(app.isEnded).toBe(true);
    expect(mesh.flows()).toEqual([]);
    say(app, " and after");
    app.connection.end();
    await mesh.settle();
    expect(caller.text()).toMatch(/from app and after$/);
    expect(mesh.flows()).toMatchObject([
      { verdict: "allowed", status: 101, bytesReceived: 11, bytesSent: 18, endedBy: "downstream" },
      { verdict: "allowed", status: 101, bytesReceived: 11, bytesSent: 18, endedBy: "downstream" },
    ]);
    expect(mesh.network.openCount).toBe(keptEnds(between));
  });

  it("that is declined leaves the connection as it was", async () => {
    const { mesh, caller } = await begin(between, WEBSOCKET);
    say(mesh.ordersApp[0]!, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
    await mesh.settle();
    say(caller, `GET /next ${HEAD}\r\n`);
    await mesh.settle();
    expect(targetsOf(mesh.ordersApp[0]!)).toEqual(["/ws", "/next"]);
  });

  it("with data before the answer is refused, and none of it forwarded", async () => {
    const { mesh, caller } = await begin(between, `${WEBSOCKET}early`);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 400 /);
    expect(caller.isEnded).toBe(true);
    expect(mesh.ordersApp.map((app) => app.text()).join("")).not.toContain("early");
    expect(reasons(mesh)).toContain("bad-request");
  });

  it("with a pipelined request behind it is refused, not smuggled", async () => {
    const { mesh, caller } = await begin(between, WEBSOCKET);
    say(caller, `GET /admin ${HEAD}\r\n`);
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 400 /);
    expect(mesh.ordersApp[0]!.text()).not.toContain("admin");
  });

  it.each(["tls/1.0", "connect-udp", "websocket, h2c", "WebSocketX"])("to %s is refused", async (protocol) => {
    const { mesh, caller } = await begin(between, `GET / ${HEAD}Connection: upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.ordersApp).toEqual([]);
    expect(reasons(mesh)).toEqual(["upgrade-not-allowed"]);
  });

  it("with a body is refused", async () => {
    const body = `POST / ${HEAD}Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc`;
    const { mesh, caller } = await begin(between, body);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 400 /);
    expect(mesh.ordersApp).toEqual([]);
  });

  it("to h2c is not passed on", async () => {
    const { mesh, caller } = await begin(
      between,
      `GET / ${HEAD}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
    );
    expect(mesh.ordersApp[0]!.text()).not.toMatch(/upgrade|h2c|settings/i);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toContain("200 OK");
  });

  it.each([
    ["that nobody asked for", `GET / ${HEAD}\r\n`, SWITCH],
    ["to another protocol", WEBSOCKET, SWITCH.replace("websocket", "h2c")],
  ])("%s is a fault of the upstream", async (_name, request, answer) => {
    const { mesh, caller } = await begin(between, request);
    say(mesh.ordersApp[0]!, answer);
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 502 /);
    expect(reasons(mesh)).toContain("upstream-protocol-error");
  });
});

async function begin(
  between: HttpProtocol,
  text: string,
): Promise<{ mesh: SimMesh; caller: Collected<SimConnection> }> {
  const mesh = await openSimMesh({ between });
  return { mesh, caller: await mesh.call(mesh.proxy, text) };
}

function targetsOf(app: Collected): string[] {
  return [...app.text().matchAll(/^[A-Z]+ (\S+) HTTP\/1\.1\r$/gm)].map((match) => match[1]!);
}

function reasons(mesh: SimMesh): string[] {
  return mesh.flows().map((flow) => flow.reason);
}
