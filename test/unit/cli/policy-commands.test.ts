import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command as check } from "../../../src/cli/policy-check.ts";
import { command as evaluate } from "../../../src/cli/policy-eval.ts";
import { command as runTests } from "../../../src/cli/policy-test.ts";
import type { Command } from "../../../src/cli/command.ts";
import { type KeptTerminal, keptTerminal, runCommand } from "../../support/kept-terminal.ts";

const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec:
  rules:
    - from: [{source: {principals: ["cluster.local/ns/shop/sa/web"]}}]
      to: [{operation: {methods: [GET], paths: ["/orders*"]}}]
`;
const FAULTY = POLICY.replace("principals", "principal").replace("rules:", "action: DENI\n  rules:");
const ODD = POLICY.replace("[GET]", "[get]");
const UNENFORCED = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: staged, namespace: shop, annotations: {istio.io/dry-run: "true"}}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/orders]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: watch, namespace: shop}
spec: {action: AUDIT, rules: [{to: [{operation: {methods: [GET]}}]}]}
`;
const TESTS = `apiVersion: cardea.dev/v1
kind: PolicyTest
metadata: {name: t}
spec:
  to: shop/orders:8080
  tests:
    - {name: web reads, from: shop/web, request: {path: /orders}, expect: allow}
    - {name: others do not, from: [a/b, anonymous], request: {path: /orders}, expect: deny}
`;
const MESH =
  "apiVersion: cardea.dev/v1\nkind: Mesh\nmetadata: {name: m}\nspec: {trustDomain: corp.example, defaultAction: ALLOW}\n";

let folder = "";

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function shorten(text: string): string {
  return text.replaceAll(`${folder}/`, "");
}

async function run(command: Command, words: readonly string[], input: readonly string[] = []) {
  const terminal: KeptTerminal = keptTerminal({
    async *stdin() {
      yield* input;
    },
  });
  const code = await runCommand(command, words, terminal);
  return { code, out: terminal.out.map(shorten), err: terminal.err.map(shorten) };
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cardea-policy-"));
  write("good/orders.yaml", POLICY);
  write("good/sub/tests.yml", TESTS);
  write("good/notes.md", "not a policy");
  write("odd/orders.yaml", ODD);
  write("unenforced/all.yaml", UNENFORCED);
  write("bad/a.yaml", FAULTY);
  write("bad/b.json", "");
  mkdirSync(join(folder, "none"));
  write("mesh.yaml", MESH);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("policy check", () => {
  test("is content with good files, tests among them", async () => {
    expect(await run(check, [join(folder, "good")])).toEqual({
      code: 0,
      out: [],
      err: [expect.stringMatching(/^1 policy, 1 PolicyTest, 0 warnings; revision [0-9a-f]{12}$/)],
    });
  });

  test("names every fault of every file by line, column and field, and ends with 2", async () => {
    expect(await run(check, [join(folder, "bad")])).toEqual({
      code: 2,
      out: [],
      err: [
        'bad/a.yaml:5:11: spec.action: expected one of ALLOW, DENY, AUDIT, CUSTOM, found "DENI"; did you mean `DENY`?',
        "bad/a.yaml:7:24: spec.rules[0].from[0].source.principal: unknown field; did you mean `principals`?",
        "bad/b.json:1:1: empty file",
        "3 errors: the set is refused as a whole",
      ],
    });
  });

  test("with --json prints an object for each finding on stdout", async () => {
    const { code, out } = await run(check, [join(folder, "odd"), "--json"]);
    expect(code).toBe(0);
    expect(out.map((line) => JSON.parse(line))).toEqual([
      {
        severity: "warning",
        code: "value-never-matches",
        policy: "shop/orders",
        file: "odd/orders.yaml",
        line: 7,
        column: 35,
        field: "spec.rules[0].to[0].operation.methods[0]",
        message: '"get" is not "GET": methods are compared with case',
      },
    ]);
    const { code: bad, out: faults } = await run(check, [join(folder, "bad"), "--json"]);
    expect(bad).toBe(2);
    expect(faults.map((line) => JSON.parse(line).severity)).toEqual(["error", "error", "error"]);
  });

  test("lets warnings count when asked", async () => {
    expect((await run(check, [join(folder, "odd")])).code).toBe(0);
    expect((await run(check, [join(folder, "odd"), "--strict"])).code).toBe(1);
    expect((await run(check, [join(folder, "good"), "--strict"])).code).toBe(0);
  });

  test.each<[string, string, string]>([
    ["a path that is not there", "missing", "missing: cannot be read: no such file or directory"],
    ["a directory without policies", "none", "none: holds no .yaml, .yml or .json file"],
  ])("refuses %s", async (_name, path, message) => {
    const { code, err } = await run(check, [join(folder, path)]);
    expect(code).toBe(2);
    expect(err[0]).toBe(message);
  });

  test("reads a loop of links once, and says what it cannot follow", async () => {
    write("loop/orders.yaml", POLICY);
    symlinkSync(join(folder, "loop"), join(folder, "loop", "again.yaml"));
    const { code, err } = await run(check, [join(folder, "loop")]);
    expect(code).toBe(2);
    expect(err[0]).toBe("loop/again.yaml: cannot be read: it is a directory");
  });

  test("counts a file that two paths lead to once", async () => {
    const { code } = await run(check, [join(folder, "good"), join(folder, "good/orders.yaml")]);
    expect(code).toBe(0);
  });

  test("wants a path", async () => {
    expect((await run(check, [])).code).toBe(2);
  });
});

describe("policy test", () => {
  test("prints a row for each test and the coverage, and ends with 0 when all hold", async () => {
    expect(await run(runTests, [join(folder, "good")])).toEqual({
      code: 0,
      out: [
        "good/sub/tests.yml: t",
        "  ✓ web reads",
        "  ✓ others do not (2)",
        "",
        "rules covered: 1 of 1",
        "3 passed, 0 failed",
      ],
      err: [],
    });
  });

  test("says what failed and why, and what no test touches, and ends with 1", async () => {
    write("failing/policy.yaml", `${POLICY}    - from: [{source: {namespaces: [ops]}}]\n`);
    write("failing/tests.yaml", TESTS.replace("expect: allow", "expect: deny"));
    const { code, out } = await run(runTests, [join(folder, "failing")]);
    expect(code).toBe(1);
    expect(out).toEqual([
      "failing/tests.yaml: t",
      "  ✗ web reads",
      "      failing/tests.yaml:7: shop/web → shop/orders:8080 GET /orders: expected deny, got allow",
      "      rule 0 of ALLOW policy shop/orders (failing/policy.yaml:6) matches",
      "  ✓ others do not (2)",
      "",
      "rules covered: 1 of 2",
      "  not covered: rule 1 of shop/orders (failing/policy.yaml:8)",
      "2 passed, 1 failed",
    ]);
  });

  test("with --json prints cases, coverage and the sum", async () => {
    const { code, out } = await run(runTests, [join(folder, "good"), "--json"]);
    expect(code).toBe(0);
    const objects = out.map((line) => JSON.parse(line));
    expect(objects.map((object) => object.kind)).toEqual(["case", "case", "case", "coverage", "summary"]);
    expect(objects[0]).toMatchObject({
      passed: true,
      name: "web reads",
      policy: "shop/orders",
      rule: 0,
      actual: "allow",
    });
    expect(objects.at(-1)).toEqual({ kind: "summary", passed: 3, failed: 0, rules: 1, rulesCovered: 1 });
  });

  test("decides under the settings of a mesh file", async () => {
    const tests = TESTS.replace("shop/orders:8080", "other/x:1");
    write("settings/all.yaml", `${POLICY}---\n${tests}`);
    expect((await run(runTests, [join(folder, "settings")])).code).toBe(1);
    const { out } = await run(runTests, [join(folder, "settings"), "--mesh", join(folder, "mesh.yaml")]);
    // Nothing selects the workload, and there the default is ALLOW; a caller without identity does not get as far as that.
    expect(out.at(-1)).toBe("2 passed, 1 failed");
  });

  test.each<[string, string[], string]>([
    ["no PolicyTest", ["odd"], "there is no PolicyTest document to run"],
    ["a bad set", ["bad"], "bad/b.json:1:1: empty file"],
    ["a mesh file that is none", ["good", "--mesh", "good/orders.yaml"], "kind: expected one of Mesh"],
  ])("refuses %s", async (_name, [path, ...words], message) => {
    const places = words.map((word) => (word.includes("/") ? join(folder, word) : word));
    const { code, out, err } = await run(runTests, [join(folder, path!), ...places]);
    expect([code, out]).toEqual([2, []]);
    expect(err.join("\n")).toContain(message);
  });
});

const WEB = "spiffe://cluster.local/ns/shop/sa/web";
const STRANGER = "spiffe://cluster.local/ns/other/sa/stranger";

function asked(change: object = {}, request: object | null = { method: "GET", path: "/orders" }): string {
  return JSON.stringify({
    id: "1",
    source: { principal: WEB, ip: "10.0.0.1", remoteIp: "10.0.0.1" },
    destination: { namespace: "shop", labels: { app: "orders" }, serviceAccount: "orders", ip: "10.0.0.2", port: 8080 },
    protocol: "http",
    sni: "outbound_.8080_._.orders.shop.svc.cluster.local",
    request,
    ...change,
  });
}

async function decide(
  ...input: string[]
): Promise<{ code: number; decisions: Record<string, unknown>[]; err: string[] }> {
  const words = ["--policies", join(folder, "good"), "--requests", "-"];
  const { code, out, err } = await run(evaluate, words, input);
  return { code, decisions: out.map((text) => JSON.parse(text)), err };
}

const peers = (mode: string) =>
  `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: peer, namespace: shop}\nspec: {mtls: {mode: ${mode}}}\n`;

describe("policy eval of a caller without identity", () => {
  const nobody = asked({ source: { principal: null } });
  const ANYBODY =
    "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: any, namespace: shop}\nspec: {rules: [{}]}\n";

  test.each([
    ["PERMISSIVE", { decision: "allow", status: 200, policy: "shop/any" }],
    ["DISABLE", { decision: "allow", status: 200, policy: "shop/any" }],
    ["STRICT", { decision: "deny", status: 403, policy: "shop/peer", rule: null, reason: "plaintext-refused" }],
  ])("says what a sidecar would under %s", async (mode, expected) => {
    write(`peers-${mode}/p.yaml`, `${ANYBODY}---\n${peers(mode)}`);
    const { out } = await run(evaluate, ["--policies", join(folder, `peers-${mode}`), "--requests", "-"], [nobody]);
    expect(JSON.parse(out[0]!)).toMatchObject(expected);
    expect(JSON.parse(out[0]!)).not.toHaveProperty("note");
  });

  test("refuses it where no PeerAuthentication speaks, as a sidecar does, and says how to ask the policies", async () => {
    write("peers-none/p.yaml", ANYBODY);
    const { out } = await run(evaluate, ["--policies", join(folder, "peers-none"), "--requests", "-"], [nobody]);
    expect(JSON.parse(out[0]!)).toMatchObject({
      decision: "deny",
      status: 403,
      policy: null,
      reason: "plaintext-refused",
      nearest: null,
      note: expect.stringContaining("no PeerAuthentication lets callers without identity in"),
    });
  });

  test("takes the identity from one who has it, where mutual TLS is off", async () => {
    write("peers-off/p.yaml", `${POLICY}---\n${peers("DISABLE")}`);
    const { out } = await run(evaluate, ["--policies", join(folder, "peers-off"), "--requests", "-"], [asked()]);
    expect(JSON.parse(out[0]!)).toMatchObject({ decision: "deny", reason: "no-allow-rule-matched" });
  });
});

describe("policy eval", () => {
  test("answers an allowed request with every field of the contract", async () => {
    const { code, decisions } = await decide(
      asked({}, { method: "GET", path: "/x/../orders/%37?q=1", host: "orders" }),
    );
    expect(code).toBe(0);
    expect(decisions).toEqual([
      {
        id: "1",
        decision: "allow",
        status: 200,
        policy: "shop/orders",
        rule: 0,
        reason: "allow-rule-matched",
        path: "/orders/7?q=1",
        dryRun: [],
        nearest: null,
      },
    ]);
  });

  test("tells what a dry run would change and what AUDIT marks, and decides without them", async () => {
    const words = ["--policies", join(folder, "good"), "--policies", join(folder, "unenforced"), "--requests", "-"];
    const asks = [asked(), asked({}, { method: "GET", path: "/orders/1" }), asked({ source: { principal: STRANGER } })];
    const { code, out } = await run(evaluate, words, asks);
    expect(code).toBe(1);
    const [exact, below, stranger] = out.map((text) => JSON.parse(text) as object);
    expect(exact).toMatchObject({
      decision: "allow",
      status: 200,
      policy: "shop/orders",
      dryRun: [{ decision: "deny", policy: "shop/staged", rule: 0, reason: "deny-rule-matched" }],
      audit: { policy: "shop/watch", rule: 0 },
    });
    expect(below).toMatchObject({ decision: "allow", dryRun: [] });
    expect(stranger).toMatchObject({ decision: "deny", dryRun: [], audit: { policy: "shop/watch", rule: 0 } });
  });

  test("answers a denied one with 403 and what came closest, and ends with 1", async () => {
    const { code, decisions } = await decide(asked({}, { method: "PUT", path: "/orders" }), asked());
    expect(code).toBe(1);
    expect(decisions[0]).toMatchObject({
      decision: "deny",
      status: 403,
      policy: null,
      rule: null,
      reason: "no-allow-rule-matched",
      path: "/orders",
      nearest: {
        policy: "shop/orders",
        rule: 0,
        file: "good/orders.yaml",
        line: 6,
        clause: { field: "spec.rules[0].to[0].operation.methods", expected: '"GET"', actual: '"PUT"' },
      },
    });
    expect(decisions[1]).toMatchObject({ decision: "allow" });
  });

  test("names the mesh's default, and a mesh file changes it", async () => {
    const other = asked({ destination: { namespace: "other", port: 1 } });
    expect((await decide(other)).decisions[0]).toMatchObject({
      decision: "deny",
      policy: "mesh/default",
      nearest: null,
    });
    const words = ["--policies", join(folder, "good"), "--requests", "-", "--mesh", join(folder, "mesh.yaml")];
    const { code, out } = await run(evaluate, words, [other]);
    expect(code).toBe(0);
    expect(JSON.parse(out[0]!)).toMatchObject({ decision: "allow", policy: "mesh/default", reason: "default-action" });
  });

  test.each<[string, object, object | null, object]>([
    ["a caller without identity", { source: { principal: null } }, { method: "GET", path: "/orders" }, { status: 403 }],
    ["TCP, where the rule's HTTP clauses never match", { protocol: "tcp" }, null, { status: 403, path: null }],
    [
      "a path that normalisation refuses",
      {},
      { method: "GET", path: "/orders/%00" },
      { status: 400, reason: "bad-request", path: null },
    ],
    ["a path that leads elsewhere", {}, { method: "GET", path: "/orders/../admin" }, { status: 403, path: "/admin" }],
  ])("denies %s", async (_name, change, request, wanted) => {
    const { code, decisions } = await decide(asked(change, request));
    expect(code).toBe(1);
    expect(decisions[0]).toMatchObject({ decision: "deny", ...wanted });
  });

  test.each<[string, string, string]>([
    ["no JSON", "{", "stdin:2:1: not valid JSON"],
    ["no object", "[]", "stdin:2:1: expected a map, found a list"],
    ["nesting without end", "[".repeat(100_000) + "]".repeat(100_000), "stdin:2:1: not valid JSON"],
    ["an unknown field", asked({ sources: {} }), "stdin:2:1: sources: unknown field; did you mean `source`?"],
    ["no source", asked({ source: undefined }), "stdin:2:1: source: is required"],
    ["no port", asked({ destination: { namespace: "a" } }), "stdin:2:1: destination.port: is required"],
    ["a port that is none", asked({ destination: { namespace: "a", port: 70_000 } }), "expected a whole number from 0"],
    ["a bad SPIFFE ID", asked({ source: { principal: "spiffe://A/b" } }), "source.principal: "],
    [
      "a principal without its scheme",
      asked({ source: { principal: "a/ns/b/sa/c" } }),
      "does not begin with spiffe://",
    ],
    ["a bad address", asked({ source: { principal: null, ip: "10.0.0" } }), "source.ip: expected an IP address"],
    ["HTTP without request", asked({}, null), "stdin:2:1: request: is required unless protocol is tcp"],
    [
      "a header that is no text",
      asked({}, { method: "GET", path: "/", headers: { a: 1 } }),
      'request.headers["a"]: expected',
    ],
    ["another protocol", asked({ protocol: "HTTP" }), "did you mean `http`?"],
  ])("answers a bad line with a denial, names it, goes on, and ends with 2: %s", async (_name, bad, message) => {
    const { code, decisions, err } = await decide(asked({ id: "first" }), bad, asked({ id: "last" }));
    expect(code).toBe(2);
    expect(err.join("\n")).toContain(message);
    expect(decisions.map(({ decision, status }) => [decision, status])).toEqual([
      ["allow", 200],
      ["deny", 400],
      ["allow", 200],
    ]);
    expect(decisions[1]).toMatchObject({ reason: "bad-request", policy: null });
  });

  test("gives ids back as they came, even of bad lines", async () => {
    const { decisions } = await decide(asked({ id: 7 }), asked({ id: "x", protocol: "udp" }), asked({ id: undefined }));
    expect(decisions.map((decision) => decision["id"])).toEqual([7, "x", null]);
  });

  test("asks nothing of an empty line", async () => {
    expect((await decide("", asked(), "   ")).decisions).toHaveLength(1);
  });

  test("headers are compared by name without case, and several of one name are one", async () => {
    write(
      "header/p.yaml",
      POLICY.replace(
        'to: [{operation: {methods: [GET], paths: ["/orders*"]}}]',
        "when: [{key: 'request.headers[X-Team]', values: ['a,b']}]",
      ),
    );
    const words = ["--policies", join(folder, "header"), "--requests", "-"];
    const { out } = await run(evaluate, words, [
      asked({}, { method: "GET", path: "/", headers: { "x-team": "a", "X-TEAM": "b" } }),
      asked({}, { method: "GET", path: "/", headers: { "x-team": "a" } }),
    ]);
    expect(out.map((text) => JSON.parse(text).decision)).toEqual(["allow", "deny"]);
  });

  test("answers every line of a file of 10,000 in one run", async () => {
    const lines = Array.from({ length: 10_000 }, (_, i) =>
      asked({ id: i }, { method: i % 2 ? "GET" : "PUT", path: "/orders" }),
    );
    const file = write("requests.jsonl", `${lines.join("\n")}\n`);
    const { code, out } = await run(evaluate, ["--policies", join(folder, "good"), "--requests", file]);
    expect(code).toBe(1);
    expect(out).toHaveLength(10_000);
    const decisions = out.map((text) => JSON.parse(text));
    expect(decisions.every(({ id, decision }, i) => id === i && decision === (i % 2 ? "allow" : "deny"))).toBe(true);
  });

  test.each<[string, string[], string]>([
    ["no policies", ["--requests", "-"], "--policies and --requests are needed"],
    ["no requests", ["--policies", "good"], "--policies and --requests are needed"],
    ["bad policies", ["--policies", "bad", "--requests", "-"], "bad/b.json:1:1: empty file"],
    ["a file that is not there", ["--policies", "good", "--requests", "absent"], "absent cannot be read: no such file"],
    ["a directory of requests", ["--policies", "good", "--requests", "good"], "good cannot be read: it is a directory"],
  ])("refuses %s, with nothing on stdout", async (_name, words, message) => {
    const places = words.map((word) => (/^[a-z]/.test(word) ? join(folder, word) : word));
    const { code, out, err } = await run(evaluate, places, [asked()]);
    expect([code, out]).toEqual([2, []]);
    expect(err.join("\n")).toContain(message);
  });
});
