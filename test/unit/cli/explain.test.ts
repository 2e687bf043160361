import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { command } from "../../../src/cli/explain.ts";
import { adviceFor, meaningOf } from "../../../src/observe/flow-advice.ts";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { ERROR_TABLE, type ErrorCode } from "../../../src/core/errors.ts";
import type { FlowReason, FlowRecord } from "../../../src/observe/flow.ts";
import { type FlowState, makeFlowState } from "../../support/flow-state.ts";
import { type KeptTerminal, keptTerminal, runCommand } from "../../support/kept-terminal.ts";
import { PAYMENTS, plaintextFlow, sampleFlow } from "../../support/sample-flow.ts";

const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: payments
  namespace: shop
spec:
  selector:
    matchLabels:
      app: payments
  action: ALLOW
  rules:
    - from:
        - source:
            principals: ["cluster.local/ns/shop/sa/orders"] # Ä \u001b[2J
      to:
        - operation:
            methods: ["POST"]
            paths: ["/payments"]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: no-admin
  namespace: shop
spec:
  action: DENY
  rules:
    - to:
        - operation:
            paths: ["/admin/*"]
`;
const FILES = [{ path: "/m/policies/payments.yaml", text: POLICY }];
const ID = "9f1c2a7be03d4455";

let state: FlowState;
let terminal: KeptTerminal;
let revision = "";
beforeEach(() => {
  state = makeFlowState();
  terminal = keptTerminal({ cwd: "/m" });
  revision = state.writeRevision(FILES);
});
afterEach(() => state.remove());

describe("cardea explain, of a denial that no rule allowed", () => {
  beforeEach(() => record({ method: "POST", path: "/payments" }));

  test("tells the whole story: who, what, file and line, the clause that failed, the grant, the next step", async () => {
    expect(await explain(ID)).toBe(0);
    const out = terminal.out.join("\n");
    expect(terminal.out[0]).toBe("DENIED  web → payments  POST /payments");
    expect(out).toContain("caller    spiffe://cluster.local/ns/shop/sa/web, from 127.0.0.1:40312");
    expect(out).toContain("called    shop/payments (app=payments, version=v1), port 8080");
    expect(out).toContain("between   TLS 1.3, key exchange X25519MLKEM768 (post-quantum)");
    expect(out).toContain(`policies  revision ${revision}`);
    expect(out).toContain(
      [
        "  ALLOW policies select the workload and none of their rules matches.",
        "  Nearest is rule 0 of shop/payments, at policies/payments.yaml:12:",
        "",
        "  policies/payments.yaml:14",
        "    12 |     - from:",
        "    13 |         - source:",
        '  > 14 |             principals: ["cluster.local/ns/shop/sa/orders"] # Ä \\x1b[2J',
        "",
        "  failed    spec.rules[0].from[0].source.principals",
        '            expected  "cluster.local/ns/shop/sa/orders"',
        "            was       spiffe://cluster.local/ns/shop/sa/web",
      ].join("\n"),
    );
    expect(terminal.out.at(-1)).toBe(
      `  cardea explain ${ID} --state ${state.directory} --grant > policies/allow-web-to-payments.yaml`,
    );
  });

  test("its grant, saved among the policies, allows exactly this", async () => {
    await explain(ID, "--grant");
    const grant = terminal.out.join("\n");
    const files = [...FILES, { path: "/m/policies/grant.yaml", text: grant }];
    expect(parsePolicyFiles(files).faults).toEqual([]);
    revision = state.writeRevision(files);
    record({ method: "POST", path: "/payments" });
    expect(await explained()).toMatchObject({ decision: { allow: true, policy: "shop/allow-web-to-payments" } });
    record({ method: "POST", path: "/payments/7" });
    expect(await explained()).toMatchObject({ decision: { allow: false } });
  });

  test("is one JSON object with --json", async () => {
    expect(await explained()).toMatchObject({
      id: ID,
      verdict: "denied",
      reason: "no-allow-rule-matched",
      decision: { allow: false, policy: null, rule: null },
      nearest: {
        policy: "shop/payments",
        rule: 0,
        file: "/m/policies/payments.yaml",
        line: 12,
        clause: {
          field: "spec.rules[0].from[0].source.principals",
          line: 14,
          expected: '"cluster.local/ns/shop/sa/orders"',
          actual: "spiffe://cluster.local/ns/shop/sa/web",
        },
      },
      grant: expect.stringContaining("name: allow-web-to-payments"),
      disagreement: null,
      flow: { id: ID, path: "/payments" },
    });
  });

  test("is found by the beginning of its id, in capitals too", async () => {
    expect(await explain(ID.slice(0, 8).toUpperCase())).toBe(0);
  });

  test.each([80, 120])("fits %d columns but for what is to be compared or pasted", async (width) => {
    terminal = keptTerminal({ cwd: "/m", width });
    await explain(ID);
    const prose = terminal.out.filter((line) => !line.startsWith(`  cardea explain ${ID}`));
    expect(prose.filter((line) => line.length > width)).toEqual([]);
  });

  test("is the same text with colour as without", async () => {
    await explain(ID);
    const plain = terminal.out.join("\n");
    terminal = keptTerminal({ cwd: "/m", colour: true });
    await explain(ID);
    const coloured = terminal.out.join("\n");
    expect(coloured).toContain("\u001b[1;31mDENIED\u001b[0m");
    // oxlint-disable-next-line no-control-regex
    expect(coloured.replace(/\u001b\[[\d;]*m/g, "").replaceAll(/\(\d+ .* ago\)/g, "")).toBe(
      plain.replaceAll(/\(\d+ .* ago\)/g, ""),
    );
  });
});

describe("cardea explain, of other decisions", () => {
  test("a DENY rule: shows the rule that matched, and offers no grant", async () => {
    record({ reason: "deny-rule-matched", policy: "shop/no-admin", rule: 0 });
    expect(await explain(ID)).toBe(0);
    const out = terminal.out.join("\n");
    expect(out).toContain('  > 30 |             paths: ["/admin/*"]');
    expect(out).toContain('matched   spec.rules[0].to[0].operation.paths on "/admin/refunds"');
    expect(out).toContain("No ALLOW policy can override a DENY");
    expect(out).not.toContain("smallest grant");
    expect(await explain(ID, "--grant")).toBe(1);
  });

  test("the mesh's default: names the mesh's file", async () => {
    const nobody = { ...PAYMENTS, workload: "ledger", labels: { app: "ledger" } };
    record({ destination: nobody, reason: "default-action", policy: "mesh/default", path: "/" });
    await explain(ID);
    const out = terminal.out.join("\n").replaceAll(/\n {2}(?=\S)/g, " ");
    expect(out).toContain("No ALLOW policy selects the workload, so the mesh's defaultAction decides: DENY.");
    expect(out).toContain("The default is set in mesh.yaml.");
    expect(out).toContain("name: allow-web-to-ledger");
  });

  test("an opaque connection", async () => {
    const destination = { ...PAYMENTS, workload: "ledger", namespace: "ledger", labels: { app: "ledger" }, port: 7000 };
    const tcp = { protocol: "tcp", method: null, path: null, host: null, status: null } as const;
    record({ ...tcp, destination, reason: "default-action", policy: "mesh/default" });
    await explain(ID);
    expect(terminal.out[0]).toBe("DENIED  web → ledger  tcp :7000");
    expect(terminal.out.join("\n")).toContain('      to:\n        - operation:\n            ports: ["7000"]');
    expect(terminal.out.join("\n")).not.toContain("methods");
  });

  test("one that was allowed: the rule that let it through", async () => {
    const orders = "spiffe://cluster.local/ns/shop/sa/orders";
    const source = { ...sampleFlow().source, principal: orders, workload: "orders" };
    record({
      source,
      method: "POST",
      path: "/payments",
      verdict: "allowed",
      reason: "allow-rule-matched",
      policy: "shop/payments",
      rule: 0,
    });
    await explain(ID);
    expect(terminal.out[0]).toBe("ALLOWED  orders → payments  POST /payments");
    expect(terminal.out.join("\n")).toContain(
      "Rule 0 of ALLOW policy shop/payments (policies/payments.yaml:12) matches.",
    );
  });

  test("one that AUDIT let through", async () => {
    record({ verdict: "would-deny", path: "/x" });
    await explain(ID);
    expect(terminal.out[0]).toBe("WOULD BE DENIED  web → payments  GET /x");
    expect(terminal.out.join("\n")).toContain("only because enforcement is AUDIT");
  });

  test("a path that was written in another way", async () => {
    record({ receivedPath: "/public/../admin/refunds", reason: "deny-rule-matched", policy: "shop/no-admin", rule: 0 });
    await explain(ID);
    expect(terminal.out.join("\n")).toContain(
      "received  /public/../admin/refunds, which is the path above in another form",
    );
    expect(terminal.out.join(" ").replaceAll(/\s+/g, " ")).toContain("look at the caller before you grant it anything");
  });

  test("a source's record leads to the destination's, which decided", async () => {
    const source = {
      reporter: "source",
      verdict: "allowed",
      reason: "service-registered",
      spanId: "53995c3f42cd8ad8",
    } as const;
    state.writeFlows("web.jsonl", [sampleFlow({ id: "aaaaaaaaaaaaaaaa", ...source })]);
    record({ path: "/x" });
    expect(await explained("aaaaaaaaaaaaaaaa")).toMatchObject({ id: ID, verdict: "denied" });
  });

  test("the key-exchange group, which the source's sidecar alone was told", async () => {
    const { tls } = sampleFlow();
    state.writeFlows("web.jsonl", [
      sampleFlow({ id: "aaaaaaaaaaaaaaaa", reporter: "source", spanId: "53995c3f42cd8ad8" }),
    ]);
    record({ tls: { ...tls, group: null } });
    expect(await explained()).toMatchObject({ id: ID, flow: { tls: { group: "X25519MLKEM768" } } });
    record({ tls: { ...tls, group: null }, traceId: "of another request" });
    expect(await explained()).not.toHaveProperty("flow.tls.group");
  });

  test("a source's record alone", async () => {
    state.writeFlows("web.jsonl", [
      sampleFlow({ reporter: "source", verdict: "error", reason: "no-route", spanId: "x" }),
    ]);
    expect(await explained()).toMatchObject({ reason: "no-route", summary: ERROR_TABLE["no-route"].meaning });
  });

  test("what is not a policy's: says what was refused and what to do", async () => {
    state.writeFlows("x.jsonl", [plaintextFlow({ detail: "first byte 0x47" })]);
    expect(await explain(ID)).toBe(0);
    const out = terminal.out.join("\n");
    expect(out).toContain("no identity was proved, from 127.0.0.1:40312");
    expect(out).toContain("Why (plaintext-refused)");
    expect(out).toContain("In this case: first byte 0x47.");
    expect(out).toContain("What to do");
    expect(await explain(ID, "--grant")).toBe(1);
  });
});

describe("cardea explain, where rules ask for what no record carries", () => {
  const USERS = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: users, namespace: shop }
spec:
  selector: { matchLabels: { app: payments } }
  rules:
    - from: [{ source: { requestPrincipals: ["https://id.example/*"] } }]
      when: [{ key: "request.auth.claims[groups]", values: [admin] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-bots, namespace: shop }
spec:
  action: DENY
  rules:
    - when: [{ key: "request.headers[user-agent]", values: ["bot*"] }]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: users, namespace: shop }
spec: { jwtRules: [{ issuer: "https://id.example", jwksUri: "https://id.example/k" }] }
`;
  const none = { reason: "no-allow-rule-matched", policy: null, rule: null, path: "/x" } as const;

  beforeEach(() => {
    revision = state.writeRevision([{ path: "/m/policies/users.yaml", text: USERS }]);
  });

  test("a denial by claims: says that the record does not carry the claim, and not that there was none", async () => {
    record({ ...none, requestPrincipal: "https://id.example/team/alice" });
    const { nearest, disagreement } = await explained();
    expect(nearest).toMatchObject({
      policy: "shop/users",
      failing: [{ actual: "unknown: the record does not carry the claim groups", isUnknown: true }],
    });
    expect(disagreement).toBeNull();
    await explain(ID);
    expect(terminal.out.join("\n")).toContain("was       unknown: the record does not carry the claim groups");
  });

  test("a denial by the user: says whom the record names first, and what it does not carry after it", async () => {
    record({ ...none, requestPrincipal: "https://other.example/alice" });
    expect((await explained())["nearest"]).toMatchObject({
      clause: { actual: '"https://other.example/alice"' },
      failing: [{}, { isUnknown: true }],
    });
    record({ ...none, requestPrincipal: null });
    expect((await explained())["nearest"]).toMatchObject({ clause: { actual: "no user is named in the record" } });
  });

  test("a DENY rule on a header: it is the recorded rule that is told, and the header's value is not", async () => {
    record({ reason: "deny-rule-matched", policy: "shop/no-bots", rule: 0, path: "/x" });
    expect(await explained()).toMatchObject({
      decision: { allow: false, policy: "shop/no-bots", rule: 0 },
      clauses: [{ actual: "unknown: the record does not carry the header user-agent" }],
      disagreement: null,
      grant: null,
    });
  });

  test("what is recorded and cannot have been: says so", async () => {
    const known = {
      verdict: "allowed",
      reason: "allow-rule-matched",
      policy: "shop/users",
      rule: 0,
      path: "/x",
    } as const;
    record({ ...known, requestPrincipal: null });
    expect((await explained())["disagreement"]).toContain("comes to another end");
    record({ ...known, requestPrincipal: "https://id.example/alice" });
    expect(await explained()).toMatchObject({ decision: { allow: true, policy: "shop/users" }, disagreement: null });
  });

  test("a stream that lost its token: says so, and puts no policy's words in its place", async () => {
    record({ ...none, reason: "permission-lost", detail: "the token is refused: there is no key" });
    const told = await explained();
    expect(told).not.toHaveProperty("decision");
    expect(told).toMatchObject({ reason: "permission-lost", unexplained: null });
    await explain(ID);
    expect(terminal.out.join(" ").replaceAll(/\s+/g, " ")).toContain("there is no key");
  });
});

describe("cardea explain, when something is missing", () => {
  test("an unknown id: says so, where it looked, and the newest; exit code 2", async () => {
    record({});
    expect(await explain("0123456789abcdef")).toBe(2);
    expect(terminal.err).toEqual([
      `no such flow: 0123456789abcdef; looked in 1 file in ${state.directory}/flows; the newest is ${ID} of 2026-11-22T09:30:00.125Z`,
    ]);
  });

  test("an unknown id where nothing is recorded yet", async () => {
    expect(await explain("0123456789abcdef")).toBe(2);
    expect(terminal.err[0]).toContain("nothing is recorded there yet");
  });

  test.each(["", "x", "9f1c2", "9f1c2a7be03d44550", '9f1c2a7b"', "../../etc", "9f1c 2a7b"])(
    "%j is no id: exit code 2",
    async (id) => {
      record({});
      expect(await explain(id)).toBe(2);
      expect(terminal.err[0]).toContain("is no flow id");
    },
  );

  test("--json and --grant together are refused", async () => {
    expect(await explain(ID, "--json", "--grant")).toBe(2);
  });

  test("no mesh: exit code 3", async () => {
    expect(await runCommand(command, [ID, "--state", "/nowhere"], terminal)).toBe(3);
  });

  test.each([
    ["texts that are no longer kept", { revision: "0123456789ab" }, "revision 0123456789ab are no longer kept"],
    ["a revision that is a path", { revision: "../run" }, "is not readable"],
    ["no revision", { revision: null }, "no policy revision was recorded"],
    ["no labels of the called workload", { destination: { ...PAYMENTS, labels: null } }, "does not say which workload"],
    [
      "a principal that is none",
      { source: { ...sampleFlow().source, principal: "web" } },
      "does not begin with spiffe://",
    ],
  ])("%s: tells what is known", async (_name, changes, why) => {
    record(changes);
    expect(await explain(ID)).toBe(0);
    expect(terminal.out.join(" ").replaceAll(/\s+/g, " ")).toContain(why);
    expect((await explained())["unexplained"]).toContain(why);
  });

  test("a decision that hung on what is not recorded: says that the two do not agree", async () => {
    record({ verdict: "allowed", reason: "allow-rule-matched", policy: "shop/payments", rule: 0 });
    expect((await explained())["disagreement"]).toContain("not recorded");
  });

  test("a path that was cut when it was recorded: says that it was", async () => {
    record({
      path: `/${"p".repeat(5_000)}`,
      verdict: "allowed",
      reason: "allow-rule-matched",
      policy: "shop/x",
      rule: 0,
    });
    expect((await explained())["disagreement"]).toContain("too long");
  });

  test("lets nothing hostile of a record act on the terminal", async () => {
    const hostile = "\u001b[2J\u009b31m\n\u202e";
    const source = { ...sampleFlow().source, workload: hostile };
    record({ source, path: `/${hostile}`, host: hostile, receivedPath: hostile, detail: hostile, method: hostile });
    await explain(ID);
    expect(terminal.out.join("").replaceAll(/[→Ä]/g, "")).toMatch(/^[ -~]*$/);
  });

  test("finds the field, not a text in a path that looks like it", async () => {
    state.writeFlows("x.jsonl", [sampleFlow({ id: "bbbbbbbbbbbbbbbb", path: `/"id":"${ID}"` })]);
    expect(await explain(ID)).toBe(2);
  });
});

describe("what outcomes without a policy mean", () => {
  test.each(Object.keys(ERROR_TABLE) as ErrorCode[])("%s has a meaning", (code) => {
    expect(meaningOf(code)).toBe(ERROR_TABLE[code].meaning);
  });

  test("all that the data path can refuse for has advice", () => {
    const elsewhere = new Set([
      "denied-by-policy",
      "permission-lost",
      "bad-input",
      "unreachable",
      "attestation-failed",
      "csr-invalid",
      "der-invalid",
      "spiffe-id-invalid",
      "disk-full",
      "damaged",
      "kube-forbidden",
      "kube-absent",
      "kube-conflict",
      "kube-gone",
      "kube-refused",
    ]);
    const without = (Object.keys(ERROR_TABLE) as ErrorCode[]).filter((code) => adviceFor(code) === null);
    expect(without.filter((code) => !elsewhere.has(code))).toEqual([]);
  });

  test("a reason of a newer version is told as such", () => {
    expect(meaningOf("out-of-cheese" as FlowReason)).toContain("does not know");
    expect(adviceFor("out-of-cheese" as FlowReason)).toBeNull();
  });
});

function record(changes: Partial<FlowRecord>): void {
  state.writeFlows("payments.jsonl", [sampleFlow({ id: ID, revision, ...changes })]);
}

async function explain(...words: readonly string[]): Promise<number> {
  terminal.out.length = 0;
  terminal.err.length = 0;
  return runCommand(command, [...words, "--state", state.directory], terminal);
}

async function explained(id = ID): Promise<Record<string, unknown>> {
  expect(await explain(id, "--json")).toBe(0);
  return JSON.parse(terminal.out.join("\n")) as Record<string, unknown>;
}
