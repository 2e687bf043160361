import { describe, expect, it } from "vitest";
import type { SecureConnection } from "../../src/core/ports.ts";
import type { PolicySet } from "../../src/proxy/discovery/policy-sinks.ts";
import { FLAG, FRAME } from "../../src/wire/http2-codes.ts";
import type { Collected } from "../support/collected.ts";
import { GET, OPENING, rawFields, rawFrame, readFrames } from "../support/http2-frames.ts";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import { shopId } from "../support/test-authority.ts";
import { policy, policySetOf, WEB_MAY } from "../support/test-mesh.ts";

// A ztunnel tunnels whatever its pod dials, a port that carries requests included. What is in such a tunnel is read, and
// each request authorized by itself: CONNECT is no way around policies that look at requests.

const OK_ONLY = policySetOf([policy("ok", { rules: [{ to: [{ operation: { paths: ["/ok"] } }] }] })]);
const NOBODY = policySetOf([], {}, "second");
const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

describe("through a tunnel to a port that carries requests", () => {
  it("a request is served, and recorded as the request that it is", async () => {
    const { mesh, caller } = await tunnel();
    await ask(mesh, caller, "GET /a?b HTTP/1.1\r\nHost: orders\r\nX-Forwarded-Client-Cert: forged\r\n\r\n");
    expect(mesh.ordersApp[0]!.text()).toMatch(/^GET \/a\?b HTTP\/1\.1\r\n/);
    expect(mesh.ordersApp[0]!.text()).toContain(`URI=${shopId("web")}`);
    expect(mesh.ordersApp[0]!.text()).not.toContain("forged");
    say(mesh.ordersApp[0]!, ANSWER);
    await mesh.settle();
    expect(told(caller)).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*hi$/);
    expect(mesh.orders.flows).toMatchObject([
      {
        protocol: "http",
        verdict: "allowed",
        path: "/a",
        status: 200,
        source: { principal: shopId("web") },
        destination: { port: 8080, service: "orders.shop.svc.cluster.local" },
      },
    ]);
  });

  it("each is authorized by itself: one is denied with an id, the next is served", async () => {
    const { mesh, caller } = await tunnel({ policy: OK_ONLY });
    await ask(mesh, caller, "GET /no HTTP/1.1\r\nHost: orders\r\n\r\n");
    const [flow] = mesh.orders.flows;
    expect(told(caller)).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
    expect(told(caller)).toContain(`x-cardea-denial: ${flow!.id}\r\n`);
    expect(flow).toMatchObject({ verdict: "denied", reason: "no-allow-rule-matched", path: "/no" });
    expect(mesh.ordersApp).toEqual([]);
    await ask(mesh, caller, "GET /ok HTTP/1.1\r\nHost: orders\r\n\r\n");
    expect(mesh.ordersApp[0]!.text()).toMatch(/^GET \/ok /);
  });

  it.each([
    ["a caller that may not", { name: "reports" }, 403],
    ["anybody while no policy is loaded", { policy: null }, 503],
  ])("%s gets no request through", async (_name, options, status) => {
    const { mesh, caller } = await tunnel(options);
    await ask(mesh, caller, "GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
    expect(told(caller)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(mesh.ordersApp).toEqual([]);
  });

  it.each([
    ["what is no HTTP", "\u0016\u0003\u0001\u0002\u0000\u0001\r\n\r\n", 400],
    ["two lengths", "POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400],
    ["a CONNECT to go on from here", "CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: 10.0.0.1:22\r\n\r\n", 405],
  ])("%s is refused, and nothing of it reaches the app", async (_name, text, status) => {
    const { mesh, caller } = await tunnel();
    await ask(mesh, caller, text);
    expect(told(caller)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "error", status }]);
  });

  it("a new policy ends what it denies", async () => {
    const { mesh, caller } = await tunnel();
    await ask(mesh, caller, "GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
    mesh.orders.policy.set(NOBODY);
    await mesh.settle();
    expect(told(caller)).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "permission-lost", revision: "second" }]);
    mesh.orders.policy.set(policySetOf([WEB_MAY], {}, "third"));
  });

  it("HTTP/2 is spoken with prior knowledge, as by an app itself", async () => {
    const { mesh, caller } = await tunnel();
    const request = { type: FRAME.HEADERS, flags: FLAG.END_HEADERS | FLAG.END_STREAM, streamId: 1, payload: GET };
    await ask(mesh, caller, Buffer.concat([OPENING, rawFrame(request)]).toString("latin1"));
    expect(mesh.ordersApp[0]!.text()).toMatch(/^GET \//);
    say(mesh.ordersApp[0]!, ANSWER);
    await mesh.settle();
    const inner = readFrames(Buffer.from(told(caller), "latin1"));
    expect(inner.filter(({ streamId }) => streamId === 1).map(({ type }) => type)).toEqual([FRAME.HEADERS, FRAME.DATA]);
    expect(mesh.orders.flows).toMatchObject([{ protocol: "http", verdict: "allowed" }]);
  });

  it("a tunnel that is cut takes its request with it, and leaves its neighbours", async () => {
    const { mesh, caller } = await tunnel();
    await ask(mesh, caller, "GET /cut HTTP/1.1\r\nHost: orders\r\n\r\n");
    caller.connection.write(connect(3));
    caller.connection.write(data(3, "GET /stays HTTP/1.1\r\nHost: orders\r\n\r\n"));
    caller.connection.write(
      rawFrame({ type: FRAME.RST_STREAM, flags: 0, streamId: 1, payload: Buffer.from([0, 0, 0, 8]) }),
    );
    await mesh.settle();
    expect(mesh.ordersApp.map((app) => app.isClosed)).toEqual([true, false]);
    say(mesh.ordersApp[1]!, ANSWER);
    await mesh.settle();
    expect(told(caller, 3)).toMatch(/hi$/);
    expect(mesh.orders.flows).toMatchObject([
      { path: "/cut", reason: "downstream-reset" },
      { path: "/stays", verdict: "allowed" },
    ]);
  });
});

interface Tunnel {
  readonly mesh: SimMesh;
  readonly caller: Collected<SecureConnection>;
}

interface TunnelOptions {
  readonly name?: string;
  readonly policy?: PolicySet | null;
}

/** A caller of the HBONE port that has been answered 200 on stream 1. */
async function tunnel({ name = "web", ...options }: TunnelOptions = {}): Promise<Tunnel> {
  const mesh = await openSimMesh({ ...options, hbone: true });
  const sni = "outbound_.80_._.orders.shop.svc.cluster.local";
  const caller = await mesh.callAs(mesh.authority.issue(shopId(name)), mesh.hbone!, { alpn: ["h2"], sni });
  caller.connection.write(OPENING);
  caller.connection.write(rawFrame({ type: FRAME.SETTINGS, flags: FLAG.ACK }));
  caller.connection.write(connect(1));
  await mesh.settle();
  return { mesh, caller };
}

function connect(streamId: number): Buffer {
  const payload = rawFields(":method", "CONNECT", ":authority", "127.0.0.1:8080");
  return rawFrame({ type: FRAME.HEADERS, flags: FLAG.END_HEADERS, streamId, payload });
}

function data(streamId: number, text: string): Buffer {
  return rawFrame({ type: FRAME.DATA, flags: 0, streamId, payload: Buffer.from(text, "latin1") });
}

async function ask(mesh: SimMesh, caller: Collected, text: string): Promise<void> {
  caller.connection.write(data(1, text));
  await mesh.settle();
}

/** What has come through the tunnel. */
function told(caller: Collected, streamId = 1): string {
  const frames = readFrames(Buffer.concat(caller.chunks));
  const pieces = frames.filter((frame) => frame.type === FRAME.DATA && frame.streamId === streamId);
  return pieces.map(({ payload }) => payload.toString("latin1")).join("");
}
