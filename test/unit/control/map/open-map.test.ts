import { createConnection } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MAP_ANSWERS } from "../../../../src/control/map/answers.ts";
import { CardeaError } from "../../../../src/core/errors.ts";
import { FLOW_LIMITS } from "../../../../src/core/flow-limits.ts";
import { type MapFixture, openMapFixture } from "./map-fixture.ts";

let map: MapFixture;
beforeEach(async () => {
  map = await openMapFixture();
});
afterEach(() => map.close());

describe("the port answers", () => {
  test("the page, its modules without types, and nothing else of the disk", async () => {
    const page = await map.get("/");
    expect([page.status, page.headers["content-type"]]).toEqual([200, "text/html; charset=utf-8"]);
    const main = await map.get("/ui/main.js");
    expect(main.headers["content-type"]).toBe("text/javascript; charset=utf-8");
    const module = await map.get("/ui/format.ts");
    expect(module.body).toContain("export function showText(text        )");
  });

  test.each([
    "/ui/../control/map/open-map.ts",
    "/ui/%2e%2e/control/map/open-map.ts",
    "/ui/..%2fcontrol/map/open-map.ts",
    "/ui/tsconfig.json",
    "/ui/",
    "/ui",
    "/ui/page.html/",
    "/page.html",
    "/package.json",
    "/constructor",
    "/__proto__",
  ])("404 to %s", async (path) => expect((await map.get(path)).status).toBe(404));

  test("with a policy that lets a page do nothing but ask us, on refusals as well", async () => {
    for (const path of ["/", "/ui/page.css", "/api/mesh", "/api/none", "/none"]) {
      const { headers } = await map.get(path);
      expect(headers["content-security-policy"]).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
      );
      expect(headers).toMatchObject({
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
      });
    }
  });

  test("HEAD without a body, of a stream as well", async () => {
    for (const path of ["/", "/api/mesh", "/api/live"]) {
      const { status, body } = await map.get(path, {}, "HEAD");
      expect([status, body]).toEqual([200, ""]);
    }
  });
});

describe("nothing is changed from here", () => {
  test.each(["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])("%s is refused everywhere", async (method) => {
    for (const path of ["/", "/api/mesh", "/api/graph"]) {
      const { status, headers } = await map.get(path, {}, method);
      expect([status, headers["allow"]]).toEqual([405, "GET, HEAD"]);
    }
  });

  test("a request with a body is refused", async () => {
    expect((await map.get("/api/mesh", { "content-length": "3", "x-y": "z" }, "GET")).status).toBe(413);
  });
});

describe("a page of somebody else's", () => {
  test.each([
    ["that had its name point here", { host: "evil.example" }],
    ["the same, with our port", { host: "evil.example:15080" }],
    ["with a name that begins like ours", { host: "localhost.evil.example" }],
    ["with a number that is ours in another form", { host: "0x7f.1" }],
    ["with an address of the network", { host: "192.168.1.5:15080" }],
    ["that asks from its own origin", { origin: "https://evil.example" }],
    ["that asks from a file", { origin: "null" }],
    ["of another port of this machine", { origin: "http://127.0.0.1:1" }],
    ["that a browser tells us of", { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }],
    ["of another port, that a browser tells us of", { "sec-fetch-site": "same-site", "sec-fetch-mode": "cors" }],
    [
      "that navigates to an answer",
      { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
    ],
    [
      "that has us in a frame",
      { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" },
    ],
  ])("%s learns nothing", async (_name, headers) => {
    for (const path of ["/api/mesh", "/api/live", "/ui/main.js"]) {
      const { status, body } = await map.get(path, headers);
      expect(status).toBe(403);
      expect(body).not.toContain("trustDomain");
    }
  });

  test.each([
    [
      "may have a link to the page",
      { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
    ],
    ["is ours when it is the page itself", { "sec-fetch-site": "same-origin" }],
    ["is none when the address was typed", { "sec-fetch-site": "none" }],
    ["is none when it is curl", {}],
    ["is ours under the name localhost", { host: "localhost:15080", origin: "http://localhost:15080" }],
    ["is ours under IPv6", { host: "[::1]:15080" }],
  ])("%s", async (_name, headers) => expect((await map.get("/", headers)).status).toBe(200));

  test("without a Host there is no answer", async () => {
    const answer = await new Promise<string>((resolve) => {
      const socket = createConnection(map.port, "127.0.0.1", () => socket.write("GET /api/mesh HTTP/1.0\r\n\r\n"));
      let text = "";
      socket.on("data", (piece) => (text += piece.toString())).on("close", () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).not.toContain("trustDomain");
  });
});

describe("a question that is none", () => {
  test.each([
    "/api/graph",
    "/api/graph?from=2&to=1",
    "/api/graph?from=1&to=1",
    "/api/graph?from=-1&to=5",
    "/api/graph?from=1e3&to=5e3",
    "/api/graph?from=0&to=99999999999999999",
    "/api/graph?from=0&to=9999999999999999",
    "/api/flows?from=0&to=9&verdict=maybe",
    "/api/flows?from=0&to=9&cursor=../../etc",
    `/api/flows?from=0&to=9&path=${"a".repeat(1_025)}`,
    "/api/flows?from=0&to=9&limit=many",
    "/api/explanation",
    "/api/explanation?id=..%2f..%2fetc",
    "/api/explanation?id=1234567",
    "/api/explanation?id=0000000000000000",
    "/api/blast-radius",
    "/api/blast-radius?workload=nobody/here",
    "/api/coverage?from=5",
    "/api/readiness?to=5",
  ])("%s is answered by 400 and a reason", async (path) => {
    const { status, body } = await map.get(path);
    expect([status, JSON.parse(body)]).toMatchObject([400, { code: "bad-input", message: expect.any(String) }]);
  });

  test.each(["/api/", "/api/none", "/api/mesh/", "/api/toString", "/api/../api/none"])("%s by 404", async (path) => {
    expect((await map.get(path)).status).toBe(404);
  });

  test("an address that is no path, and a head that is too large, end there", async () => {
    expect((await map.get("*")).status).toBe(400);
    expect((await map.get(`/api/mesh?${"a".repeat(20_000)}`)).status).toBe(431);
  });
});

const fails = (): Promise<never> => Promise.reject(new CardeaError("damaged", "/var/lib/secret.db is malformed"));

test("a store that does not answer is 503, which tells nothing of it, and a line in the log", async () => {
  const failing = await openMapFixture({
    wrap: (flows) => ({ ...flows, edges: fails, flows: fails, flow: fails, span: fails, decisions: fails }),
  });
  for (const path of ["/api/mesh", "/api/graph?from=0&to=9", "/api/flows?from=0&to=9", "/api/coverage?from=0&to=9"]) {
    const { status, body } = await failing.get(path);
    expect(status).toBe(503);
    expect(body).not.toContain("secret");
  }
  expect(failing.log.events()).toContain("map-not-answered");
  await failing.close();
});

test("so many pages may watch, and the next one is told; who goes makes room", async () => {
  const watching = await Promise.all(Array.from({ length: FLOW_LIMITS.mapWatchersMax }, () => watch(map.port)));
  expect((await map.get("/api/live")).status).toBe(503);
  watching[0]!.destroy();
  await expect.poll(async () => (await watch(map.port)).readyState, { timeout: 10_000 }).toBe("open");
  for (const socket of watching) socket.destroy();
});

/** A connection that has been told `hello`. */
function watch(port: number): Promise<ReturnType<typeof createConnection>> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(port, "127.0.0.1", () => {
      socket.write(`GET /api/live HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`);
    });
    let text = "";
    socket.on("data", (piece) => {
      text += piece.toString();
      if (text.includes("event: hello")) resolve(socket);
      else if (text.startsWith("HTTP/1.1 503")) reject(new Error("no room"));
    });
    socket.on("error", reject);
  });
}

test("every question is one that is known here", () => {
  expect([...MAP_ANSWERS.keys()].toSorted()).toEqual(
    ["blast-radius", "coverage", "explanation", "flows", "graph", "mesh", "readiness"].map((name) => `/api/${name}`),
  );
});
