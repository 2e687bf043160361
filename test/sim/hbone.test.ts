import { describe, expect, it } from "vitest";
import type { SecureConnection } from "../../src/core/ports.ts";
import { ERROR_CODES, FLAG, FRAME, SETTING } from "../../src/wire/http2-codes.ts";
import { HpackDecoder } from "../../src/wire/hpack-decoder.ts";
import type { Collected } from "../support/collected.ts";
import { GET, OPENING, type RawFrame, rawFields, rawFrame, readFrames } from "../support/http2-frames.ts";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import { shopId } from "../support/test-authority.ts";
import { policy, policySetOf, WEB_MAY } from "../support/test-mesh.ts";

// Opaque TCP between sidecars goes as a CONNECT to the HBONE port. Whoever holds a certificate of the mesh may send to
// that port what it likes, so most of this is what is refused there.

const ACK = rawFrame({ type: FRAME.SETTINGS, flags: FLAG.ACK });
const NOBODY = policySetOf([], {}, "second");

describe("a TCP connection to a workload with an HBONE port", () => {
  it("goes there, and is recorded on both sides as the connection that it is", async () => {
    const mesh = await openSimMesh({ hbone: true });
    const caller = await mesh.call(mesh.toLedger, "BALANCE\n");
    expect(mesh.ledgerApp[0]!.text()).toBe("BALANCE\n");
    say(mesh.ledgerApp[0]!, "42\n");
    mesh.ledgerApp[0]!.connection.end();
    caller.connection.end();
    await mesh.settle();
    expect(caller.text()).toBe("42\n");
    expect(caller.isEnded).toBe(true);
    const facts = { verdict: "allowed", protocol: "tcp", bytesReceived: 8, bytesSent: 3 };
    const tls = { version: "TLSv1.3", sni: "outbound_.5432_._.ledger.shop.svc.cluster.local" };
    expect(mesh.web.flows).toMatchObject([{ ...facts, tls, reason: "service-registered" }]);
    expect(mesh.orders.flows).toMatchObject([
      { ...facts, tls, source: { principal: shopId("web") }, destination: { port: 5432 } },
    ]);
    // By which the two records are known to be of one connection.
    const [seenByWeb] = mesh.web.flows;
    expect(seenByWeb!.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(mesh.orders.flows).toMatchObject([{ traceId: seenByWeb!.traceId, parentSpanId: seenByWeb!.spanId }]);
  });

  it("shares the other sidecar's connection with the next", async () => {
    const mesh = await openSimMesh({ hbone: true });
    await mesh.call(mesh.toLedger, "one");
    const before = mesh.network.openCount;
    await mesh.call(mesh.toLedger, "two");
    expect(mesh.ledgerApp.map((app) => app.text())).toEqual(["one", "two"]);
    // Two ends each of the caller's and the app's connection, and none in between.
    expect(mesh.network.openCount - before).toBe(4);
  });

  it("half-closes by itself, and what comes after is carried", async () => {
    const mesh = await openSimMesh({ hbone: true });
    const caller = await mesh.call(mesh.toLedger, "ask");
    caller.connection.end();
    await mesh.settle();
    expect(mesh.ledgerApp[0]!.isEnded).toBe(true);
    say(mesh.ledgerApp[0]!, "late answer");
    await mesh.settle();
    expect(caller.text()).toBe("late answer");
    expect(caller.isEnded).toBe(false);
  });

  it("is reset when the app resets, which is no end", async () => {
    const mesh = await openSimMesh({ hbone: true });
    const caller = await mesh.call(mesh.toLedger, "ask");
    mesh.ledgerApp[0]!.connection.destroy({ reset: true });
    await mesh.settle();
    expect(caller.isEnded).toBe(false);
    expect(caller.error?.code).toBe("upstream-reset");
    expect(mesh.web.flows).toMatchObject([{ verdict: "error", reason: "upstream-reset" }]);
  });

  it("is reset, and told as refused, when policy denies it", async () => {
    const mesh = await openSimMesh({ hbone: true, policy: NOBODY });
    const caller = await mesh.call(mesh.toLedger, "ask");
    expect(caller.error?.code).toBe("upstream-reset");
    expect(mesh.ledgerApp).toEqual([]);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "default-action", protocol: "tcp" }]);
    expect(mesh.web.flows).toMatchObject([
      { verdict: "error", reason: "tunnel-refused", detail: "the other sidecar answered CONNECT with 401" },
    ]);
    const [seenByWeb] = mesh.web.flows;
    expect(mesh.orders.flows).toMatchObject([{ traceId: seenByWeb!.traceId, parentSpanId: seenByWeb!.spanId }]);
  });

  it("goes to the port itself where the workload has no HBONE port", async () => {
    const mesh = await openSimMesh({ hbone: true });
    mesh.register((endpoint) => ({ ...endpoint, hbonePort: null }));
    await mesh.call(mesh.toLedger, "direct");
    expect(mesh.ledgerApp[0]!.text()).toBe("direct");
  });

  it("ends when its caller has gone before the tunnel stood, and holds nothing", async () => {
    const mesh = await openSimMesh({ hbone: true });
    const caller = mesh.call(mesh.toLedger);
    (await caller).connection.destroy({ reset: true });
    await mesh.settle();
    expect(mesh.ledgerApp.every((app) => app.isClosed)).toBe(true);
  });
});

describe("a new policy", () => {
  it("resets the streams that it denies, and the connection stays", async () => {
    const { mesh, caller } = await open({});
    send(caller, connect(1), data(1, "kept?"));
    await mesh.settle();
    expect(mesh.ledgerApp[0]!.text()).toBe("kept?");
    mesh.orders.policy.set(NOBODY);
    await mesh.settle();
    expect(wordsOf(caller, 1)).toEqual(["HEADERS :status=200", `RST ${ERROR_CODES.CONNECT_ERROR}`]);
    expect(mesh.ledgerApp[0]!.isClosed).toBe(true);
    expect(caller.isClosed).toBe(false);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "permission-lost", revision: "second" }]);
    send(caller, connect(3));
    await mesh.settle();
    expect(wordsOf(caller, 3)[0]).toContain(":status=401");
  });

  it("leaves the streams alone that it goes on to permit", async () => {
    const { mesh, caller } = await open({});
    send(caller, connect(1));
    await mesh.settle();
    mesh.orders.policy.set(
      policySetOf([WEB_MAY, policy("more", { rules: [{ to: [{ operation: { ports: ["1"] } }] }] })], {}, "second"),
    );
    send(caller, data(1, "still here"));
    await mesh.settle();
    expect(mesh.ledgerApp[0]!.text()).toBe("still here");
  });
});

describe("the HBONE port", () => {
  it("answers 401 with an id to a proved caller that may not, without dialling", async () => {
    const { mesh, caller } = await open({ name: "reports" });
    send(caller, connect(1));
    await mesh.settle();
    const [flow] = mesh.orders.flows;
    expect(wordsOf(caller, 1)[0]).toContain(`:status=401 content-type=text/plain x-cardea-denial=${flow!.id}`);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "no-allow-rule-matched" }]);
    expect(mesh.ledgerApp).toEqual([]);
  });

  it("answers 503 while no policy is loaded", async () => {
    const { mesh, caller } = await open({ policy: null });
    send(caller, connect(1));
    await mesh.settle();
    expect(wordsOf(caller, 1)[0]).toContain(":status=503");
    expect(mesh.ledgerApp).toEqual([]);
  });

  it("decides by the port that is asked for", async () => {
    const other = policy("other-port", { rules: [{ to: [{ operation: { ports: ["5433"] } }] }] });
    const { mesh, caller } = await open({ policy: policySetOf([other]) });
    send(caller, connect(1));
    await mesh.settle();
    expect(wordsOf(caller, 1)[0]).toContain(":status=401");
    mesh.orders.policy.set(policySetOf([policy("ledger", { rules: [{ to: [{ operation: { ports: ["5432"] } }] }] })]));
    send(caller, connect(3));
    await mesh.settle();
    expect(wordsOf(caller, 3)).toEqual(["HEADERS :status=200"]);
  });

  it("does not answer 200 before the app has been reached", async () => {
    const { mesh, caller } = await open({ ledgerApp: { host: "127.0.0.1", port: 9 } });
    send(caller, connect(1));
    await mesh.settle();
    expect(wordsOf(caller, 1)[0]).toMatch(/:status=50[234]/);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "error", reason: "upstream-connect-failed" }]);
  });

  it.each([
    ["another address", ["127.0.0.2:5432"], 400],
    ["an address of another family", ["[::1]:5432"], 400],
    ["our address mapped into IPv6", ["[::ffff:127.0.0.1]:5432"], 400],
    ["a name", ["localhost:5432"], 400],
    ["a service's name", ["ledger.shop.svc.cluster.local:5432"], 400],
    ["no port", ["127.0.0.1"], 400],
    ["port 0", ["127.0.0.1:0"], 400],
    ["a port with a leading zero", ["127.0.0.1:05432"], 400],
    ["user information", ["web@127.0.0.1:5432"], 400],
    ["an octal address", ["0177.0.0.1:5432"], 400],
    ["an address in one number", ["2130706433:5432"], 400],
    ["two authorities' worth", ["127.0.0.1:5432,127.0.0.1:5432"], 400],
    ["a path", ["127.0.0.1:5432", ":path", "/"], 400],
    ["a scheme", ["127.0.0.1:5432", ":scheme", "http"], 400],
    ["another host field", ["127.0.0.1:5432", "host", "127.0.0.2:5432"], 400],
    ["an undeclared port", ["127.0.0.1:22"], 404],
    ["a port of the mesh itself", ["127.0.0.1:15001"], 508],
  ])("refuses a CONNECT with %s", async (_name, [authority, ...fields], status) => {
    const { mesh, caller } = await open({});
    send(caller, headers(1, rawFields(":method", "CONNECT", ":authority", authority!, ...fields)), connect(3));
    await mesh.settle();
    expect(wordsOf(caller, 1)[0]).toContain(`:status=${status}`);
    expect(mesh.orders.flows[0]).toMatchObject({ verdict: expect.stringMatching(/error|denied/), status });
    // The neighbour is served, and it alone.
    expect(wordsOf(caller, 3)).toEqual(["HEADERS :status=200"]);
    expect(mesh.ledgerApp).toHaveLength(1);
    expect(mesh.ordersApp).toEqual([]);
  });

  it.each([
    ["GET", GET],
    ["an extended CONNECT", websocket()],
    ["OPTIONS *", rawFields(":method", "OPTIONS", ":scheme", "http", ":path", "*", ":authority", "127.0.0.1:5432")],
  ])("refuses %s with 400", async (_name, fields) => {
    const { mesh, caller } = await open({});
    send(caller, { ...headers(1, fields), flags: FLAG.END_HEADERS | FLAG.END_STREAM });
    await mesh.settle();
    expect(wordsOf(caller, 1)[0]).toContain(":status=400");
    expect(mesh.orders.flows).toMatchObject([{ verdict: "error", reason: "bad-request", status: 400 }]);
    expect(mesh.ledgerApp).toEqual([]);
  });

  it("lets no header speak for the caller", async () => {
    const { mesh, caller } = await open({ name: "reports" });
    const claims = [
      "baggage",
      "k8s.namespace.name=shop",
      "forwarded",
      "for=127.0.0.1",
      "x-forwarded-client-cert",
      "web",
    ];
    send(caller, headers(1, rawFields(":method", "CONNECT", ":authority", "127.0.0.1:5432", ...claims)));
    await mesh.settle();
    expect(wordsOf(caller, 1)[0]).toContain(":status=401");
    expect(mesh.orders.flows).toMatchObject([{ source: { principal: shopId("reports") } }]);
  });

  it.each([["http/1.1"], ["istio"], ["istio-h2"]])("turns a caller away that offers %s alone", async (alpn) => {
    const mesh = await openSimMesh({ hbone: true });
    const call = mesh.callAs(mesh.authority.issue(shopId("web")), mesh.hbone!, { alpn: [alpn] });
    await expect(call).rejects.toMatchObject({ code: "tls-handshake-failed" });
    expect(mesh.ledgerApp).toEqual([]);
  });

  it.each(["CONNECT 127.0.0.1:5432 HTTP/1.1\r\n\r\n", "P"])(
    "refuses plaintext, and answers nothing: %j",
    async (text) => {
      const mesh = await openSimMesh({ hbone: true });
      const caller = await mesh.call(mesh.hbone!, text);
      expect(caller.bytes).toBe(0);
      expect(caller.isClosed).toBe(true);
      expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "plaintext-refused" }]);
    },
  );

  it("says that a stream may send a mebibyte ahead of its reader", async () => {
    const { caller } = await open({});
    const [settings] = readFrames(Buffer.concat(caller.chunks));
    const entries = settings!.payload.toString("hex").match(/.{12}/g);
    expect(entries).toContain(`${SETTING.INITIAL_WINDOW_SIZE.toString(16).padStart(4, "0")}00100000`);
  });

  it("takes what was sent before its answer to the app behind it, and not before", async () => {
    const { mesh, caller } = await open({});
    send(caller, connect(1), data(1, "early"), data(1, " bird", FLAG.END_STREAM));
    await mesh.settle();
    expect(mesh.ledgerApp[0]!.text()).toBe("early bird");
    expect(mesh.ledgerApp[0]!.isEnded).toBe(true);
  });
});

interface Opened {
  readonly mesh: SimMesh;
  readonly caller: Collected<SecureConnection>;
}

type OpenOptions = { readonly name?: string } & Omit<NonNullable<Parameters<typeof openSimMesh>[0]>, "hbone">;

async function open({ name = "web", ...options }: OpenOptions): Promise<Opened> {
  const mesh = await openSimMesh({ ...options, hbone: true });
  const caller = await mesh.callAs(mesh.authority.issue(shopId(name)), mesh.hbone!, { alpn: ["h2"] });
  send(caller, OPENING, ACK);
  await mesh.settle();
  return { mesh, caller };
}

function send(caller: Collected, ...frames: readonly (RawFrame | Buffer)[]): void {
  for (const frame of frames) caller.connection.write(Buffer.isBuffer(frame) ? frame : rawFrame(frame));
}

function connect(streamId: number): RawFrame {
  return headers(streamId, rawFields(":method", "CONNECT", ":authority", "127.0.0.1:5432"));
}

function headers(streamId: number, payload: Buffer): RawFrame {
  return { type: FRAME.HEADERS, flags: FLAG.END_HEADERS, streamId, payload };
}

function data(streamId: number, text: string, flags = 0): RawFrame {
  return { type: FRAME.DATA, flags, streamId, payload: Buffer.from(text, "latin1") };
}

function websocket(): Buffer {
  const target = [":scheme", "http", ":path", "/", ":authority", "127.0.0.1:5432"];
  return rawFields(":method", "CONNECT", ":protocol", "websocket", ...target);
}

/** What has come on a stream, as words. */
function wordsOf(caller: Collected, streamId: number): string[] {
  const decoder = new HpackDecoder({ tableBytesMax: 4_096, listBytesMax: 65_536, countMax: 100 });
  const words: string[] = [];
  for (const frame of readFrames(Buffer.concat(caller.chunks))) {
    const block = frame.type === FRAME.HEADERS ? decoder.decode(frame.payload) : null;
    if (frame.streamId !== streamId) continue;
    if (block?.at === "fields") words.push(`HEADERS ${pairsOf(block.fields)}`);
    if (frame.type === FRAME.DATA) words.push(`DATA ${frame.payload.toString("latin1")}`);
    if (frame.type === FRAME.RST_STREAM) words.push(`RST ${frame.payload.readUInt32BE(0)}`);
  }
  return words;
}

function pairsOf(fields: readonly string[]): string {
  return fields.map((text, i) => (i % 2 === 0 ? `${i === 0 ? "" : " "}${text}=` : text)).join("");
}
