import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Command } from "../../../src/cli/command.ts";
import { parseFlowFilter } from "../../../src/cli/flow-filter.ts";
import { parseArgs } from "../../../src/cli/args.ts";
import { flowMatcher } from "../../../src/control/flows/flow-match.ts";
import { command as flows } from "../../../src/cli/flows.ts";
import { command as replay } from "../../../src/cli/policy-replay.ts";
import { command as staged } from "../../../src/cli/policy-staged.ts";
import { command as policyTest } from "../../../src/cli/policy-test.ts";
import type { FlowRecord } from "../../../src/observe/flow.ts";
import { formatFlowLine } from "../../../src/observe/flow-line.ts";
import { keptTerminal, runCommand } from "../../support/kept-terminal.ts";
import { PAYMENTS, sampleFlow } from "../../support/sample-flow.ts";

const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  rules:
    - from: [{source: {principals: ["cluster.local/ns/shop/sa/web"]}}]
      to: [{operation: {methods: [GET], paths: ["/orders*"]}}]
`;
const STAGED = `${POLICY}---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-export, namespace: shop, annotations: {istio.io/dry-run: "true"}}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/orders/export]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: may-put, namespace: shop, annotations: {istio.io/dry-run: "true"}}
spec: {rules: [{to: [{operation: {methods: [PUT]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: watch, namespace: shop}
spec: {action: AUDIT, rules: [{to: [{operation: {paths: ["/orders/7"]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: idle, namespace: shop, annotations: {istio.io/dry-run: "true"}}
spec: {action: DENY, rules: [{from: [{source: {namespaces: [nobody]}}]}]}
`;

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cardea-policy-flows-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const ORDERS = { ...PAYMENTS, workload: "orders", labels: { app: "orders" } };

function flow(method: string, path: string, changes: Partial<FlowRecord> = {}): FlowRecord {
  const allowed = { verdict: "allowed", reason: "allow-rule-matched", policy: "shop/orders", rule: 0 } as const;
  return sampleFlow({ ...allowed, method, path, destination: ORDERS, ...changes });
}

const DENIED = { verdict: "denied", reason: "no-allow-rule-matched", policy: null, rule: null } as const;

function record(name: string, ...records: readonly FlowRecord[]): string {
  return write(name, `${records.map(formatFlowLine).join("\n")}\n`);
}

async function run(command: Command, ...words: readonly string[]) {
  const terminal = keptTerminal({});
  const code = await runCommand(command, words, terminal);
  return { code, out: terminal.out, err: terminal.err };
}

describe("policy replay", () => {
  test("says of each recorded decision what it would be now, and is 1 where that is another", async () => {
    const seen = record(
      "replay.jsonl",
      flow("GET", "/orders"),
      flow("PUT", "/orders"),
      flow("PUT", "/orders"),
      flow("GET", "/orders", { ...DENIED, verdict: "would-deny" }),
    );
    const { code, out } = await run(replay, seen, "--policies", write("policy.yaml", POLICY));
    expect(out).toEqual([
      "2 × allowed then, denied now: spiffe://cluster.local/ns/shop/sa/web → shop/orders:8080 PUT /orders",
      "      recorded: allow-rule-matched (shop/orders rule 0); now: no-allow-rule-matched; e.g. 9f1c2a7be03d4455",
      "1 × denied then, allowed now: spiffe://cluster.local/ns/shop/sa/web → shop/orders:8080 GET /orders",
      "      recorded: no-allow-rule-matched; now: allow-rule-matched (shop/orders rule 0); e.g. 9f1c2a7be03d4455",
      "Of 4 recorded decisions, 1 denials would be allowed and 2 permissions denied now.",
    ]);
    expect(code).toBe(1);
  });

  test("is 0 where nothing changes but who decides, and passes over what no policy decided", async () => {
    const seen = record(
      "same.jsonl",
      flow("GET", "/orders", { policy: "shop/other", rule: 3 }),
      flow("GET", "/x", { ...DENIED, reason: "upstream-connect-failed", verdict: "error" }),
      flow("GET", "/x", { ...DENIED, reason: "plaintext-refused" }),
      flow("GET", "/x", { reporter: "source" }),
    );
    const { code, out } = await run(replay, seen, "--policies", write("policy.yaml", POLICY));
    expect(out).toEqual([
      "Of 1 recorded decisions, 0 denials would be allowed and 0 permissions denied now, 1 decided alike by another rule; 3 other lines passed over.",
    ]);
    expect(code).toBe(0);
  });

  describe("where rules ask for what no record carries", () => {
    const CLAIMS = POLICY.replace(
      "      to: [",
      '      when: [{key: "request.auth.claims[groups]", values: [admin]}]\n      to: [',
    );
    const alice = { requestPrincipal: "https://id.example/alice" };

    test("says that it cannot be told, and by what, instead of a change", async () => {
      const denied = flow("GET", "/orders", DENIED);
      const seen = record("claims.jsonl", flow("GET", "/orders", alice), denied, flow("PUT", "/orders", DENIED));
      const { code, out } = await run(replay, seen, "--policies", write("claims.yaml", CLAIMS));
      expect(out).toEqual([
        "2 × cannot be told: spiffe://cluster.local/ns/shop/sa/web → shop/orders:8080 GET /orders",
        "      it hangs on what no record carries: the claim groups (shop/orders rule 0); e.g. 9f1c2a7be03d4455",
        "Of 3 recorded decisions, 0 denials would be allowed and 0 permissions denied now, of 2 it cannot be told.",
      ]);
      expect(code).toBe(0);
    });

    test("tells all that is denied without it, and allowed without it", async () => {
      const open = `${CLAIMS}---\n${POLICY.replace("name: orders", "name: open").replace("[GET]", "[PUT]")}`;
      const seen = record("both.jsonl", flow("DELETE", "/orders"), flow("PUT", "/orders", DENIED));
      const { code, out } = await run(replay, seen, "--policies", write("open.yaml", open), "--json");
      const changed = out.map((line) => (JSON.parse(line) as { readonly changed?: boolean }).changed);
      expect(changed.slice(0, 2)).toEqual([true, true]);
      expect(code).toBe(1);
    });

    test("with --json a decision is unknown", async () => {
      const seen = record("unknown.jsonl", flow("GET", "/orders", alice));
      const { out } = await run(replay, seen, "--policies", write("claims.yaml", CLAIMS), "--json");
      expect(JSON.parse(out[0]!)).toMatchObject({
        changed: null,
        now: { decision: "unknown", missing: ["the claim groups (shop/orders rule 0)"] },
      });
      expect(JSON.parse(out[1]!)).toMatchObject({ unknown: 1, newlyDenied: 0 });
    });

    test("knows the user whom a record names, wherever the issuer's name ends", async () => {
      const users = POLICY.replace(
        '{principals: ["cluster.local/ns/shop/sa/web"]}',
        '{requestPrincipals: ["https://id.example/*"]}',
      );
      const known = `${users}---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: users, namespace: shop}
spec: {jwtRules: [{issuer: "https://id.example", jwksUri: "https://id.example/k"}]}
`;
      const seen = record(
        "users.jsonl",
        flow("GET", "/orders", { requestPrincipal: "https://id.example/team/alice" }),
        flow("GET", "/orders", { requestPrincipal: "https://other.example/alice" }),
      );
      const { out } = await run(replay, seen, "--policies", write("users.yaml", known));
      expect(out.at(-1)).toContain("0 denials would be allowed and 1 permissions denied now");
    });

    test("a staged policy's effect is not told either", async () => {
      const dry = `${POLICY}---\n${CLAIMS.replace("name: orders", 'name: dry, annotations: {istio.io/dry-run: "true"}').replace("spec:", "spec:\n  action: DENY")}`;
      const seen = record("staged.jsonl", flow("GET", "/orders"), flow("PUT", "/x", DENIED));
      const { out, code } = await run(staged, write("dry.yaml", dry), "--flows", seen);
      expect(out.at(-1)).toContain("of 1 it cannot be told, for headers and claims are not recorded");
      expect(code).toBe(0);
    });
  });

  test("with --json tells every flow", async () => {
    const seen = record("json.jsonl", flow("GET", "/orders"), flow("DELETE", "/orders", DENIED));
    const { out } = await run(replay, seen, "--policies", write("policy.yaml", POLICY), "--json");
    const lines = out.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]).toMatchObject({ kind: "flow", changed: false, now: { decision: "allow", policy: "shop/orders" } });
    expect(lines[1]).toMatchObject({ changed: false, recorded: { decision: "deny" }, now: { decision: "deny" } });
    expect(lines[2]).toMatchObject({ kind: "summary", read: 2, newlyAllowed: 0, newlyDenied: 0 });
  });

  test.each([
    [["seen.jsonl"], "--policies is needed"],
    [["none.jsonl", "--policies", "policies"], "none.jsonl cannot be read: no such file"],
    [["none.jsonl", "--policies", "no-such"], "no such file"],
  ])("%j is bad usage", async (words, message) => {
    const { code, err } = await run(replay, ...words);
    expect(code).toBe(2);
    expect(err.join("\n")).toContain(message);
  });
});

describe("policy staged", () => {
  test("tells what dry runs would deny and allow, what AUDIT marks, and which of them meets nothing", async () => {
    const seen = record(
      "staged.jsonl",
      flow("GET", "/orders"),
      flow("GET", "/orders/export"),
      flow("GET", "/orders/export"),
      flow("PUT", "/orders", DENIED),
      flow("GET", "/orders/7"),
    );
    const { code, out } = await run(staged, write("staged.yaml", STAGED), "--flows", seen);
    const web = "spiffe://cluster.local/ns/shop/sa/web → shop/orders:8080";
    expect(out).toEqual([
      "Would be denied:",
      `  2 × ${web} GET /orders/export (shop/no-export#0), e.g. 9f1c2a7be03d4455`,
      "Would be allowed:",
      `  1 × ${web} PUT /orders (shop/may-put#0), e.g. 9f1c2a7be03d4455`,
      "Marked by AUDIT:",
      `  1 × ${web} GET /orders/7 (shop/watch#0), e.g. 9f1c2a7be03d4455`,
      "shop/idle: no recorded flow is decided or marked by its rules",
      "Of 5 recorded flows, 2 would be denied and 1 allowed were what is staged enforced; 1 are marked.",
    ]);
    expect(code).toBe(1);
    const json = await run(staged, join(folder, "staged.yaml"), "--flows", seen, "--json");
    const lines = json.out.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.find(({ policy }) => policy === "shop/no-export")).toMatchObject({ denies: 2, allows: 0, marks: 0 });
    expect(lines.at(-1)).toEqual({ kind: "summary", denies: 2, allows: 1, marks: 1, read: 5, skipped: 0 });
  });

  test("is 0 where nothing would be denied, and names the default where no rule would match", async () => {
    const idle = await run(
      staged,
      write("staged.yaml", STAGED),
      "--flows",
      record("fine.jsonl", flow("GET", "/orders")),
    );
    expect(idle.code).toBe(0);
    const only = STAGED.split("---\n")[2]!;
    const mesh = write(
      "mesh.yaml",
      "apiVersion: cardea.dev/v1\nkind: Mesh\nmetadata: {name: m}\nspec: {defaultAction: ALLOW}\n",
    );
    const first = await run(
      staged,
      write("only.yaml", only),
      "--flows",
      record("get.jsonl", flow("GET", "/a")),
      "--mesh",
      mesh,
    );
    expect(first.out[1]).toContain("GET /a (no ALLOW rule would match)");
    expect(first.code).toBe(1);
  });

  test.each([
    [["policies"], "--flows is needed"],
    [["policies", "--flows", "x"], "no policy is staged"],
  ])("%j is bad usage", async (words, message) => {
    const { code, err } = await run(staged, ...words);
    expect(code).toBe(2);
    expect(err.join("\n")).toContain(message);
  });
});

describe("flows that dry runs and AUDIT speak of", () => {
  const wouldDeny = flow("GET", "/a", { dryRun: "denied" });
  const marked = flow("GET", "/a", { auditedBy: "shop/watch#0" });
  const plain = flow("GET", "/a");
  test.each([
    [["--dry-run", "denied"], [wouldDeny]],
    [["--dry-run", "any"], [wouldDeny]],
    [["--dry-run", "allowed"], []],
    [["--audited"], [marked]],
    [[], [wouldDeny, marked, plain]],
  ])("%j", (words, expected) => {
    const filter = parseFlowFilter(parseArgs(flows, words), 0);
    expect([wouldDeny, marked, plain].filter(flowMatcher(filter, "all"))).toEqual(expected);
  });

  test("a verdict that there is not is bad usage", () => {
    expect(() => parseFlowFilter(parseArgs(flows, ["--dry-run", "maybe"]), 0)).toThrow(
      "--dry-run is allowed, denied or any",
    );
  });
});

describe("policy test --min-coverage", () => {
  const TEST = `---
apiVersion: cardea.dev/v1
kind: PolicyTest
metadata: {name: t}
spec: {to: "shop/orders:8080", tests: [{name: reads, from: shop/web, request: {path: /orders}, expect: allow}]}
`;
  const half = POLICY.replace("\n    - from", "\n    - from: [{source: {namespaces: [ops]}}]\n    - from");

  test.each([
    ["50", 0],
    ["50.1", 1],
    ["100", 1],
    ["0", 0],
  ])("of rules of which half are touched: %s is exit code %i", async (percent, expected) => {
    const { code, err } = await run(policyTest, write("half.yaml", half + TEST), "--min-coverage", percent);
    expect(code).toBe(expected);
    expect(err).toEqual(expected === 0 ? [] : [`tests touch 50.0 % of the rules, fewer than ${percent} %`]);
  });

  test("a number that is none is bad usage", async () => {
    expect((await run(policyTest, "policies", "--min-coverage", "most")).code).toBe(2);
    expect((await run(policyTest, "policies", "--min-coverage", "101")).code).toBe(2);
  });
});
