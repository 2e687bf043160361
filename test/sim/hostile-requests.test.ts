import { describe, expect, it } from "vitest";
import { openSimMesh, say } from "../support/sim-mesh.ts";
import { shopId } from "../support/test-authority.ts";
import { BETWEEN, policy, policySetOf } from "../support/test-mesh.ts";

// What two readers could take for different requests is refused and the connection closed, on either side; nothing of
// it reaches an app. The parser has tests of its own; these hold that its verdict is carried out.
const HOSTILE: readonly (readonly [string, string, string])[] = [
  ["two lengths", "POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcGET / H", "400"],
  [
    "a length and chunks",
    "POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "400",
  ],
  ["chunked in disguise", "POST / HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400"],
  ["chunked twice", "POST / HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400"],
  ["chunks from HTTP/1.0", "POST / HTTP/1.0\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"],
  ["a negative length", "POST / HTTP/1.1\r\nHost: o\r\nContent-Length: -1\r\n\r\n", "400"],
  ["a length with a sign", "POST / HTTP/1.1\r\nHost: o\r\nContent-Length: +3\r\n\r\nabc", "400"],
  ["a space before the colon", "GET / HTTP/1.1\r\nHost : o\r\n\r\n", "400"],
  ["a folded line", "GET / HTTP/1.1\r\nHost: o\r\nX: a\r\n b\r\n\r\n", "400"],
  ["bare line feeds", "GET / HTTP/1.1\nHost: o\n\n", "400"],
  ["a bare CR in a value", "GET / HTTP/1.1\r\nHost: o\r\nX: a\rb\r\n\r\n", "400"],
  ["two hosts", "GET / HTTP/1.1\r\nHost: o\r\nHost: ledger\r\n\r\n", "400"],
  ["no host", "GET / HTTP/1.1\r\n\r\n", "400"],
  ["NUL in a value", "GET / HTTP/1.1\r\nHost: o\r\nX: a\0b\r\n\r\n", "400"],
  ["a fragment", "GET /a#b HTTP/1.1\r\nHost: o\r\n\r\n", "400"],
  ["user information", "GET http://u:p@orders/ HTTP/1.1\r\nHost: o\r\n\r\n", "400"],
  ["two spaces", "GET  / HTTP/1.1\r\nHost: o\r\n\r\n", "400"],
  ["HTTP/2's preface, but for a space", " PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"],
  ["HTTP/2's preface within another method", "PRINT * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"],
  ["HTTP/2.0", "GET / HTTP/2.0\r\nHost: o\r\n\r\n", "505"],
  ["HTTP/0.9", "GET /\r\n", "400"],
  ["TLS", "\x16\x03\x01\x00\x05hello", "400"],
  ["another expectation", "POST / HTTP/1.1\r\nHost: o\r\nExpect: money\r\nContent-Length: 1\r\n\r\na", "417"],
  ["too many fields", `GET / HTTP/1.1\r\nHost: o\r\n${"X: y\r\n".repeat(200)}\r\n`, "431"],
  ["a head without end", `GET / HTTP/1.1\r\nHost: o\r\nX: ${"y".repeat(70_000)}`, "431"],
  ["a target without end", `GET /${"y".repeat(20_000)} HTTP/1.1\r\nHost: o\r\n\r\n`, "431"],
];

const BAD_CHUNKS: readonly (readonly [string, string])[] = [
  ["a size that is no number", "g\r\nabc\r\n"],
  ["a size with a sign", "+3\r\nabc\r\n"],
  ["a size with a prefix", "0x3\r\nabc\r\n"],
  ["more data than its size", "3\r\nabcd\r\n"],
  ["a bare line feed", "3\nabc\r\n"],
  ["a size beyond all bounds", "fffffffffffffffff\r\n"],
  ["an extension without end", `3;${"x".repeat(2_000)}`],
];

describe.each(BETWEEN)(
  "on either side a hostile request is refused and its connection closed, with %s between the sidecars",
  (between) => {
    it.each(HOSTILE)("outbound: %s", async (_name, text, status) => {
      const mesh = await openSimMesh({ between });
      const caller = await mesh.call(mesh.toOrders, text);
      expect(caller.text()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*connection: close\r\n`));
      expect(caller.isEnded).toBe(true);
      say(caller, "GET /next HTTP/1.1\r\nHost: orders\r\n\r\n");
      await mesh.settle();
      expect(mesh.ordersApp).toEqual([]);
      expect(mesh.flows()).toMatchObject([
        { reporter: "source", verdict: "error", status: Number(status), method: null },
      ]);
    });

    it.each(HOSTILE)("inbound: %s", async (_name, text, status) => {
      const mesh = await openSimMesh({ between });
      const caller = await mesh.callAs(mesh.authority.issue(shopId("web")), mesh.ordersInbound, { text });
      expect(caller.text()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*connection: close\r\n`));
      expect(caller.isEnded).toBe(true);
      expect(mesh.ordersApp).toEqual([]);
      expect(mesh.flows()).toMatchObject([{ reporter: "destination", verdict: "error", status: Number(status) }]);
    });

    it.each(BAD_CHUNKS)("a chunked body with %s never becomes whole", async (_name, chunks) => {
      const mesh = await openSimMesh({ between });
      const head = "POST / HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n";
      const caller = await mesh.call(
        mesh.toOrders,
        `${head}2\r\nok\r\n${chunks}0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: o\r\n\r\n`,
      );
      expect(caller.text()).toMatch(/^HTTP\/1\.1 400 [^]*connection: close\r\n/);
      expect(caller.isEnded).toBe(true);
      const atApp = mesh.ordersApp.map((app) => app.text()).join("");
      expect(atApp).not.toContain("smuggled");
      expect(atApp).not.toContain("0\r\n\r\n");
      expect(mesh.flows().find((flow) => flow.reporter === "source")).toMatchObject({
        reason: "bad-request",
        status: 400,
      });
    });

    it("two requests of which the second is hostile: the first is answered, the second refused", async () => {
      const mesh = await openSimMesh({ between });
      const caller = await mesh.call(
        mesh.toOrders,
        "GET /1 HTTP/1.1\r\nHost: o\r\n\r\nGET /2 HTTP/1.1\r\nHost: o\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      );
      say(mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      await mesh.settle();
      expect(caller.text()).toMatch(/^HTTP\/1\.1 200 OK[^]*HTTP\/1\.1 400 Bad Request/);
      expect(mesh.ordersApp[0]!.text()).not.toContain("/2");
    });
  },
);

describe.each(BETWEEN)("hostile answers are not passed on, with %s between the sidecars", (between) => {
  it.each([
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"],
    ["a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["no HTTP at all", "220 smtp.example ESMTP\r\n"],
    ["a folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"],
    ["a bare line feed", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
    ["a head without end", `HTTP/1.1 200 OK\r\nX: ${"y".repeat(70_000)}`],
    ["nothing", ""],
  ])("%s", async (_name, answer) => {
    const mesh = await openSimMesh({ between });
    const caller = await mesh.call(mesh.toOrders, "GET / HTTP/1.1\r\nHost: o\r\n\r\n");
    say(mesh.ordersApp[0]!, answer);
    mesh.ordersApp[0]!.connection.end();
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/);
    expect(mesh.flows()).toHaveLength(2);
  });
});

describe.each(BETWEEN)(
  "a path is normalised once, and matched and forwarded as the same bytes, with %s between the sidecars",
  (between) => {
    const PUBLIC_ONLY = policySetOf([
      policy("public", { action: "ALLOW", rules: [{ to: [{ operation: { paths: ["/public/*"] } }] }] }),
      policy("no-admin", { action: "DENY", rules: [{ to: [{ operation: { paths: ["/admin*"] } }] }] }),
    ]);

    it.each([
      ["/public/../admin", "403"],
      ["/public/%2e%2e/admin", "403"],
      ["/public\\..\\admin", "403"],
      ["/public/./../admin?x=/public/", "403"],
      ["/public/..;/admin", "400"],
      ["/public/%00", "400"],
      ["/public/%zz", "400"],
      ["//admin", "403"],
      ["/%61dmin", "403"],
    ])("%s → %s", async (path, status) => {
      const mesh = await openSimMesh({ between, policy: PUBLIC_ONLY });
      const caller = await mesh.call(mesh.toOrders, `GET ${path} HTTP/1.1\r\nHost: o\r\n\r\n`);
      if (mesh.ordersApp[0] !== undefined) expect(mesh.ordersApp[0].text()).not.toMatch(/admin/);
      expect(caller.text()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    });

    it("decodes a slash only where the mesh says so", async () => {
      const hard = {
        ...PUBLIC_ONLY,
        settings: { ...PUBLIC_ONLY.settings, pathNormalization: "DECODE_AND_MERGE_SLASHES" },
      } as const;
      const mesh = await openSimMesh({ between, policy: hard });
      const caller = await mesh.call(mesh.toOrders, "GET /public/..%2fadmin HTTP/1.1\r\nHost: o\r\n\r\n");
      expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
      expect(mesh.ordersApp).toEqual([]);
    });

    it("forwards what it matched", async () => {
      const mesh = await openSimMesh({ between, policy: PUBLIC_ONLY });
      await mesh.call(mesh.toOrders, "GET /x/../public/%7euser/%2f?q=/../ HTTP/1.1\r\nHost: o\r\n\r\n");
      expect(mesh.ordersApp[0]!.text()).toMatch(/^GET \/public\/~user\/%2[fF]\?q=\/\.\.\/ HTTP/);
    });
  },
);
