import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Command } from "../../../src/cli/command.ts";
import { command as blastRadius } from "../../../src/cli/policy-blast-radius.ts";
import { command as diff } from "../../../src/cli/policy-diff.ts";
import { command as prove } from "../../../src/cli/policy-prove.ts";
import { command as suggest } from "../../../src/cli/policy-suggest.ts";
import { readGitTexts } from "../../../src/io/git-files.ts";
import { keptTerminal, runCommand } from "../../support/kept-terminal.ts";
import { PAYMENTS, sampleFlow, WEB } from "../../support/sample-flow.ts";
import { formatFlowLine } from "../../../src/observe/flow-line.ts";

const MESH = "deploy/local/mesh.yaml";
const SAMPLE = "policies";

let folder = "";
/** The sample policies, with orders opened to PUT. */
let wider = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cardea-analysis-"));
  wider = join(folder, "wider");
  cpSync(SAMPLE, wider, { recursive: true });
  change("orders.yaml", '["GET"]', '["GET", "PUT"]');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function change(file: string, from: string, to: string): void {
  const path = join(wider, file);
  const text = readFileSync(path, "utf8");
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
}

async function run(command: Command, ...words: readonly string[]) {
  const terminal = keptTerminal({});
  const code = await runCommand(command, words, terminal);
  return { code, out: terminal.out, err: terminal.err };
}

describe("policy prove", () => {
  test("the sample policies keep every Invariant that stands beside them", async () => {
    const { code, out } = await run(prove, SAMPLE, "--mesh", MESH);
    expect(out.at(-1)).toBe("5 hold, 0 broken, 0 unknown, 0 vacuous");
    expect(code).toBe(0);
  });

  test("a broken one comes with a request, the rule that allows it, its place, and exit code 1", async () => {
    const file = join(folder, "never.yaml");
    writeFileSync(
      file,
      "{apiVersion: cardea.dev/v1, kind: Invariant, metadata: {name: no-posts}, spec: {never: [{to: [{operation: {methods: [POST]}}]}]}}",
    );
    const { code, out } = await run(prove, SAMPLE, file, "--mesh", MESH);
    expect(code).toBe(1);
    expect(out.join("\n")).toContain("✗ no-posts");
    expect(out.join("\n")).toMatch(
      /shop\/web → shop\/orders:8080 POST \/orders: allowed by rule 0 of shop\/orders \(policies\/orders\.yaml:\d+\)/,
    );
    const json = await run(prove, file, SAMPLE, "--mesh", MESH, "--json");
    const broken = json.out.map((line) => JSON.parse(line)).find((each) => each.invariant === "no-posts");
    expect(broken).toMatchObject({ result: "broken", counterexamples: [{ request: { method: "POST" } }, {}] });
  });

  test("without an Invariant, with a faulty one, or without the file there is nothing to prove", async () => {
    expect((await run(prove, join(SAMPLE, "orders.yaml"))).code).toBe(2);
    const file = join(folder, "faulty.yaml");
    writeFileSync(file, "apiVersion: cardea.dev/v1\nkind: Invariant\nmetadata: {name: x}\nspec: {nevr: []}\n");
    const { code, err } = await run(prove, file);
    expect(code).toBe(2);
    expect(err.join("\n")).toContain("faulty.yaml:4:8: spec.nevr: unknown field; did you mean `never`?");
    expect((await run(prove, join(folder, "none"))).code).toBe(2);
  });
});

describe("policy blast-radius", () => {
  test("says of each workload what it reaches, in which way, and one number", async () => {
    const { code, out } = await run(blastRadius, SAMPLE, "--mesh", MESH);
    expect(out).toContain("  shop/orders:8080 GET /orders (rule 0 of shop/orders)");
    expect(out).toContain("  in 3 hops ledger/ledger, by way of payments/payments");
    expect(out.at(-1)).toBe("blast radius: 50.0 % of the mesh for a breach of one workload");
    expect(code).toBe(0);
  });

  test("a number above the bar is exit code 1, one at it is not", async () => {
    expect((await run(blastRadius, SAMPLE, "--mesh", MESH, "--max", "49")).code).toBe(1);
    expect((await run(blastRadius, SAMPLE, "--mesh", MESH, "--max", "50")).code).toBe(0);
  });

  test("is drawn as a graph and told as JSON", async () => {
    const dot = await run(blastRadius, SAMPLE, "--mesh", MESH, "-o", "dot");
    expect(dot.out[0]).toBe("digraph mesh {");
    expect(dot.out).toContain('  "shop/web" -> "shop/orders";');
    const json = await run(blastRadius, SAMPLE, "--mesh", MESH, "--json");
    expect(JSON.parse(json.out.at(-1)!)).toEqual({ kind: "summary", score: 50, unknown: [] });
  });

  test.each([
    [[SAMPLE], "--mesh is needed"],
    [[SAMPLE, "--mesh", MESH, "--max", "lots"], "expected a number from 0 to 100"],
    [[SAMPLE, "--mesh", MESH, "-o", "svg"], "expected text, json or dot"],
  ])("%j is bad usage", async (words, message) => {
    const { code, err } = await run(blastRadius, ...words);
    expect(code).toBe(2);
    expect(err.join("\n")).toContain(message);
  });
});

/** The sample with more documents, in a folder of its own. */
function sampleWith(name: string, ...documents: readonly string[]): string {
  const path = join(folder, name);
  cpSync(SAMPLE, path, { recursive: true });
  writeFileSync(join(path, "more.yaml"), documents.join("---\n"));
  return path;
}

const peer = (mode: string) =>
  `{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: lax, namespace: shop}, spec: {mtls: {mode: ${mode}}}}\n`;

const users = (rules: string) =>
  `{apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: {name: users, namespace: shop}, spec: {jwtRules: ${rules}}}\n`;

const tokenNotes = async (before: string, after: string) =>
  (await run(diff, before, after, "--mesh", MESH)).out.filter((line) => line.includes("shop/orders: tokens"));

const ask = (path: string) =>
  `{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: ask, namespace: shop}, spec: {selector: {matchLabels: {app: orders}}, action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {paths: [${path}], ports: ["8080"]}}]}]}}\n`;

describe("policy diff of who callers are", () => {
  const ANYBODY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: anybody, namespace: shop}
spec: {selector: {matchLabels: {app: orders}}, rules: [{to: [{operation: {methods: [GET], paths: [/health]}}]}]}
`;

  test("tells what a port that opens to plaintext lets in, and passes no gate", async () => {
    const [strict, lax] = [sampleWith("strict", ANYBODY), sampleWith("lax", ANYBODY, peer("PERMISSIVE"))];
    const { code, out, err } = await run(diff, strict, lax, "--mesh", MESH);
    expect(out[0]).toBe("Newly allowed:");
    expect(out[1]).toMatch(/^ {2}.* → shop\/orders:8080 \(http\): GET \/health$/);
    expect(out[2]).toMatch(
      /^ {6}before: no caller without identity is let in \(mesh\/default\); after: allowed by rule 0 of shop\/anybody/,
    );
    expect(out).toContain("  shop/orders:8080 STRICT → PERMISSIVE (shop/lax)");
    expect(code).toBe(0);
    expect(err).toEqual([expect.stringContaining("PeerAuthentication shop/lax")]);
    expect((await run(diff, strict, lax, "--mesh", MESH, "--fail-on", "allowed")).code).toBe(1);
  });

  test("tells what a port that closes keeps out, and of DISABLE that nobody is anybody there", async () => {
    const [off, strict] = [sampleWith("off", ANYBODY, peer("DISABLE")), sampleWith("on", ANYBODY, peer("STRICT"))];
    const closed = await run(diff, off, strict, "--mesh", MESH);
    expect(closed.out[0]).toBe("Newly denied:");
    expect(closed.out[2]).toContain("after: no caller without identity is let in (shop/lax)");
    expect(closed.out).toContain("  shop/orders:8080 DISABLE → STRICT (shop/lax): callers have identities there again");
    const opened = await run(diff, strict, off, "--mesh", MESH, "-o", "markdown");
    expect(opened.out.join("\n")).toContain("STRICT → DISABLE (shop/lax): nobody has an identity there");
  });

  test("lets a port open to nobody where policies allow nobody without identity", async () => {
    const lax = sampleWith("open", peer("PERMISSIVE"));
    const { out } = await run(diff, SAMPLE, lax, "--mesh", MESH);
    expect(out.filter((line) => line.includes("allowed:") || line.includes("denied:"))).toEqual([]);
  });

  test("tells whose tokens are known, and which are no more", async () => {
    const rule = '{issuer: "https://id.example", jwksUri: "https://id.example/k"}';
    const other = '{issuer: "https://other.example", jwksUri: "https://other.example/k"}';
    const [none, one, two] = [
      SAMPLE,
      sampleWith("one", users(`[${rule}]`)),
      sampleWith("two", users(`[${rule}, ${other}]`)),
    ];
    const narrow = sampleWith("narrow", users(`[${rule.replace("}", ", audiences: [a]}")}]`));
    expect(await tokenNotes(none, one)).toEqual([
      "  shop/orders: tokens of https://id.example are known now: their users are principals, and bad ones get 401",
    ]);
    expect(await tokenNotes(one, none)).toEqual([
      "  shop/orders: tokens of https://id.example are known no more, nor any: requests with them pass without a user",
    ]);
    expect(await tokenNotes(two, one)).toEqual([
      "  shop/orders: tokens of https://other.example are known no more: requests with them get 401",
    ]);
    expect(await tokenNotes(one, narrow)).toEqual([
      "  shop/orders: tokens of https://id.example are taken otherwise: audiences",
    ]);
    expect(await tokenNotes(one, one)).toEqual([]);
  });

  test("tells about what a server outside is asked, and about what it is no more", async () => {
    const mesh = join(folder, "custom-mesh.yaml");
    const provider =
      "  extensionProviders: [{name: opa, envoyExtAuthzGrpc: {service: opa.shop.svc.cluster.local, port: 9191}}]\n";
    writeFileSync(mesh, readFileSync(MESH, "utf8").replace(/^spec:\n/m, `spec:\n${provider}`));
    const [a, b] = [sampleWith("ask-a", ask("/a")), sampleWith("ask-b", ask("/b"))];
    const { out } = await run(diff, a, b, "--mesh", mesh);
    expect(out[0]).toBe("Newly asked about:");
    expect(out[1]).toMatch(/^ {2}opa: .* → shop\/orders:8080 \(http\): .* \/b \(rule 0 of shop\/ask\)$/);
    expect(out[2]).toBe("Asked about no more:");
    expect(out[3]).toContain("/a (rule 0 of shop/ask)");
    const json = await run(diff, a, b, "--mesh", mesh, "--json");
    expect(json.out.map((line) => JSON.parse(line) as object)).toContainEqual(
      expect.objectContaining({
        kind: "asked",
        change: "newly-asked",
        provider: "opa",
        policy: "shop/ask",
        port: 8080,
      }),
    );
    // A mesh without the provider denies what the policies match.
    expect((await run(diff, a, b, "--mesh", MESH)).out).not.toContain("Newly asked about:");
  });

  test("finds nothing between a set and itself", async () => {
    const lax = sampleWith("same", ANYBODY, peer("PERMISSIVE"));
    expect((await run(diff, lax, lax, "--mesh", MESH, "--fail-on", "any")).code).toBe(0);
  });
});

describe("policy diff", () => {
  test("says nothing of a set and itself", async () => {
    const { code, out } = await run(diff, SAMPLE, SAMPLE, "--mesh", MESH, "--fail-on", "any");
    expect(out).toEqual([expect.stringMatching(/^No request is decided otherwise on 4 destinations/)]);
    expect(code).toBe(0);
  });

  test("says who may newly do what, before and after, and fails only on what it was told to", async () => {
    const { code, out } = await run(diff, SAMPLE, wider, "--mesh", MESH, "--fail-on", "allowed");
    expect(out[1]).toBe("  shop/web → shop/orders:8080 (http): PUT /orders");
    expect(out[2]).toMatch(
      /before: no ALLOW rule matched; after: allowed by rule 0 of shop\/orders \(.*orders\.yaml:\d+\)/,
    );
    expect(code).toBe(1);
    expect((await run(diff, SAMPLE, wider, "--mesh", MESH, "--fail-on", "denied")).code).toBe(0);
    expect((await run(diff, wider, SAMPLE, "--mesh", MESH, "--fail-on", "denied")).code).toBe(1);
    expect((await run(diff, wider, SAMPLE, "--mesh", MESH)).code).toBe(0);
  });

  test("writes a table for a pull request in which nothing ends a cell early", async () => {
    const { out } = await run(diff, SAMPLE, wider, "--mesh", MESH, "-o", "markdown");
    const row = out.find((line) => line.startsWith("| shop/web"));
    expect(row).toContain("| `PUT /orders` |");
    expect(row!.match(/(?<!\\)\|/g)).toHaveLength(5);
  });

  test("counts the recorded flows that would flip, and passes over what decides nothing", async () => {
    const flows = join(folder, "flows.jsonl");
    const destination = { ...PAYMENTS, workload: "orders", labels: { app: "orders" } };
    const flow = (reporter: "source" | "destination", method: string): string =>
      formatFlowLine(sampleFlow({ reporter, method, path: "/orders", destination, source: WEB }));
    const lines = [
      flow("destination", "PUT"),
      flow("destination", "PUT"),
      flow("destination", "GET"),
      flow("source", "PUT"),
    ];
    writeFileSync(flows, [...lines, "not a flow", ""].join("\n"));
    const { out } = await run(diff, SAMPLE, wider, "--mesh", MESH, "--flows", flows);
    expect(out.at(-2)).toMatch(
      /^ {2}2 × newly-allowed: spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web → shop\/.*:8080 PUT \/orders$/,
    );
    expect(out.at(-1)).toBe(
      "Of 3 recorded flows, 2 would be newly allowed and 0 newly denied; 2 other lines passed over.",
    );
  });

  test.each([
    [[SAMPLE, SAMPLE, "-o", "html"], "expected text, markdown or json"],
    [[SAMPLE, SAMPLE, "--fail-on", "all"], "expected allowed, denied, any"],
    [[SAMPLE, "no-such-revision:policies"], "no-such-revision cannot be read"],
    [[SAMPLE, "HEAD:no-such-folder"], "holds no .yaml"],
    [[SAMPLE, "--upload-pack=x:policies"], "unknown flag"],
  ])("%j is bad usage", async (words, message) => {
    const { code, err } = await run(diff, ...words);
    expect(code).toBe(2);
    expect(err.join("\n")).toContain(message);
  });
});

describe("policy suggest", () => {
  const orders = { ...PAYMENTS, workload: "orders", labels: { app: "orders" } };
  const flow = (verdict: "allowed" | "would-deny" | "denied" | "error", path: string): string =>
    formatFlowLine(sampleFlow({ verdict, method: "GET", path, destination: orders, source: WEB }));

  test("writes policies that the reader takes, of what was let through and nothing else", async () => {
    const flows = join(folder, "seen.jsonl");
    const lines = [
      flow("allowed", "/orders/1"),
      flow("would-deny", "/orders/2"),
      flow("denied", "/admin"),
      flow("error", "/x"),
    ];
    writeFileSync(flows, [...lines, "{torn", ""].join("\n"));
    const { code, out, err } = await run(suggest, "--flows", flows);
    expect(code).toBe(0);
    expect(out.join("\n")).toContain('paths: ["/orders/{*}"]');
    expect(out.join("\n")).not.toMatch(/admin|\/x/);
    expect(err).toEqual([expect.stringMatching(/^1 policies allow 2 of 2 flows; 3 lines passed over/)]);
    const json = await run(suggest, "--flows", flows, "--json");
    expect(JSON.parse(json.out.at(-1)!)).toEqual({ kind: "summary", flows: 2, skipped: 3, missed: 0 });
  });

  test("has nothing to suggest where nothing was let through, and needs flows that can be read", async () => {
    const flows = join(folder, "denied.jsonl");
    writeFileSync(flows, `${flow("denied", "/orders")}\n`);
    expect((await run(suggest, "--flows", flows)).code).toBe(1);
    expect((await run(suggest)).code).toBe(2);
    expect((await run(suggest, "--flows", join(folder, "none.jsonl"))).code).toBe(2);
  });
});

describe("a revision of a git repository", () => {
  test("is read as it was committed, hidden files and others left out", async () => {
    const repository = join(folder, "repository");
    cpSync(SAMPLE, join(repository, "policies"), { recursive: true });
    writeFileSync(join(repository, "policies", "notes.md"), "not a policy");
    writeFileSync(join(repository, "policies", ".hidden.yaml"), "not: [a policy");
    const git = (...args: readonly string[]): void => {
      const who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
      execFileSync("git", [...who, ...args], { cwd: repository, stdio: "ignore" });
    };
    git("init", "-q");
    git("add", "-f", ".");
    git("commit", "-qm", "first");
    writeFileSync(join(repository, "policies", "orders.yaml"), "changed since");
    const before = process.cwd();
    process.chdir(repository);
    try {
      const { files } = await readGitTexts("HEAD", "policies");
      expect(files.map(({ path }) => path)).toContain("HEAD:policies/orders.yaml");
      expect(files.find(({ path }) => path.endsWith("orders.yaml"))?.text).toContain("AuthorizationPolicy");
      expect(files.filter(({ path }) => /hidden|notes/.test(path))).toEqual([]);
      await expect(readGitTexts("--help", ".")).rejects.toThrow("expected a git revision");
    } finally {
      process.chdir(before);
    }
  });
});
