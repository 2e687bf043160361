import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cardea, type Finished } from "../support/cardea.ts";

// Whatever is wrong with what the user gave: one clear line a fault, exit 2, nothing half-started.

let directory = "";
const at = (...names: string[]): string => join(directory, ...names);

const MESH = `apiVersion: cardea.dev/v1
kind: Mesh
metadata: { name: test }
spec:
  policies: ../policies
  services:
    - name: web
      namespace: shop
      ports: [{ port: 8080 }]
      app: { command: [node, web.js] }
`;
const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny-all, namespace: cardea-system }
spec: {}
`;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-bad-input-"));
  mkdirSync(at("policies"));
  writeFileSync(at("policies", "deny-all.yaml"), POLICY);
  writeFileSync(at("mesh.yaml"), MESH.replace("../policies", "policies"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Refused extends Finished {
  /** What is in the state directory afterwards; null: it has not even been made. */
  readonly state: readonly string[] | null;
}

/** `up` on a mesh file with this text, in a directory of its own beside the policies. */
async function up(text: string): Promise<Refused> {
  const own = mkdtempSync(at("case-"));
  writeFileSync(join(own, "bad.yaml"), text);
  const finished = await cardea(["up", "bad.yaml", "--state", "state"], { cwd: own });
  return { ...finished, state: readdirSync(own).includes("state") ? readdirSync(join(own, "state")) : null };
}

function expectRefusal(finished: Finished, line: string | RegExp): void {
  expect(finished.stderr).toMatch(line);
  expect(finished).toMatchObject({ code: 2, stdout: "" });
}

describe("the command line", () => {
  test.concurrent.each<[string, string[], RegExp]>([
    ["no command", [], /^cardea: a command is missing: up, .*\n$/],
    ["an unknown command", ["upp"], /^cardea: unknown command "upp"; did you mean up\?\n$/],
    [
      "half a command",
      ["policy"],
      /^cardea: policy what\? policy check, policy eval, policy test, policy diff, policy replay, policy staged, policy suggest, policy prove, policy blast-radius\n$/,
    ],
    ["a mistyped half", ["policy", "chekc"], /^cardea: unknown command "policy chekc"; did you mean policy check\?\n$/],
    ["an unknown flag", ["up", "--onec"], /^cardea: unknown flag --onec; did you mean --once\?\n$/],
    ["a flag without its value", ["up", "--state"], /^cardea: --state needs a value: --state DIR\n$/],
    ["two mesh files", ["up", "a.yaml", "b.yaml"], /^cardea: unexpected argument "b.yaml"; usage: .*\n$/],
    ["a port base that is none", ["up", "--port-base", "0"], /^cardea: --port-base: expected a port .*\n$/],
    ["a service without a name", ["run", "--", "true"], /^cardea: --service NAME is missing\n$/],
    ["a service without a command", ["run", "--service", "x"], /^cardea: the command is missing: .*\n$/],
    [
      "a service with a bad name",
      ["run", "--service", "X!", "--", "true"],
      /^cardea: --service: expected a name .*\n$/,
    ],
    ["a sidecar without its file", ["proxy"], /^cardea: --config FILE is missing, and this is no injected pod\n$/],
    ["a control plane without its file", ["control"], /^cardea: --config FILE is missing\n$/],
    [
      "a bootstrap file that is not there",
      ["proxy", "--config", "/none.json"],
      /^cardea: \/none.json cannot be read: .*\n$/,
    ],
  ])("%s is one line and exit 2", async (_, words, line) => {
    expectRefusal(await cardea(words), line);
  });

  test("help is on stdout, exit 0, with an example", async () => {
    for (const words of [["--help"], ["up", "--help"], ["policy", "check", "--help"]]) {
      const { code, stdout, stderr } = await cardea(words);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/\nexample: cardea .+\n$/);
    }
  });
});

describe("a mesh file", () => {
  test.concurrent.each<[string, string, RegExp]>([
    ["that is empty", "", /^cardea: bad.yaml:1:1: empty file\n$/],
    ["that is no YAML", "a: [", /^cardea: bad.yaml:\d+:\d+: not valid YAML: .*\n$/],
    ["that is a YAML bomb", bomb(), /^cardea: bad.yaml(:\d+:\d+)?: (uses more than|its aliases expand).*\n$/],
    ["with two documents", `${MESH}---\n${MESH}`, /^cardea: bad.yaml: holds 2 documents; a mesh file is one\n$/],
    [
      "with an unknown field",
      MESH.replace("policies:", "polices:"),
      /^cardea: bad.yaml:5:3: spec.polices: unknown field; did you mean `policies`\?\n$/,
    ],
    [
      "with a wrong type",
      MESH.replace("8080", '"8080"'),
      /^cardea: bad.yaml:9:\d+: spec.services\[0\].ports\[0\].port: expected a whole number .*\n$/,
    ],
    [
      "without an app",
      MESH.replace("app: { command: [node, web.js] }", ""),
      /^cardea: bad.yaml:7:7: spec.services\[0\].app: is required to serve its ports\n$/,
    ],
    [
      "whose app's program is not there",
      MESH.replace("[node, web.js]", "[nodd, web.js]"),
      /^cardea: the app of shop\/web: there is no program nodd\n$/,
    ],
    ["whose policies are not there", MESH.replace("../policies", "none"), /^cardea: .*none: .*no such file.*\n$/],
  ])("%s is refused with its place, and nothing is started", async (_, text, line) => {
    const refused = await up(text);
    expectRefusal(refused, line);
    expect(refused.state).toBeNull();
  });

  test("all faults are named at once, those of the policies too", async () => {
    mkdirSync(at("bad-policies"), { recursive: true });
    writeFileSync(at("bad-policies", "a.yaml"), POLICY.replace("spec: {}", "spec: { rules: [{ form: [] }] }"));
    writeFileSync(
      at("bad-policies", "b.yaml"),
      POLICY.replace("deny-all", "b").replace("spec: {}", "spec: { action: DENI }"),
    );
    const { code, stderr } = await up(MESH.replace("../policies", "../bad-policies"));
    expect(code).toBe(2);
    expect(stderr).toContain("a.yaml:4:19: spec.rules[0].form: unknown field; did you mean `from`?");
    expect(stderr).toContain("b.yaml:4:17: spec.action: expected one of");
  });

  test("that is not there, a directory, or not readable says which", async () => {
    expectRefusal(await cardea(["up", "none.yaml"], { cwd: directory }), /none.yaml cannot be read: no such file/);
    expectRefusal(await cardea(["up", "policies"], { cwd: directory }), /policies cannot be read: it is a directory/);
  });
});

describe("a port that was asked for", () => {
  let holder: Server;
  let port = 0;
  beforeAll(async () => {
    holder = createServer();
    await new Promise<void>((resolve) => void holder.listen(0, "127.0.0.1", resolve));
    const address = holder.address();
    port = typeof address === "object" && address !== null ? address.port : 0;
  });
  afterAll(() => void holder.close());

  test.each(["outboundPort", "controlPort"])("and is taken (%s) is named, and nothing is started", async (field) => {
    const [before, line] =
      field === "controlPort" ? ["  policies:", "  controlPort:"] : ["      ports:", "      outboundPort:"];
    const refused = await up(MESH.replace(before, `${line} ${port}\n${before}`));
    expectRefusal(refused, new RegExp(`^cardea: port ${port}, asked for as the .*, is taken\n$`));
    expect(refused.state).toEqual([]);
  });
});

describe("a state directory", () => {
  test("that is a file is refused", async () => {
    writeFileSync(at("a-file"), "");
    expectRefusal(
      await cardea(["up", "mesh.yaml", "--state", "a-file"], { cwd: directory }),
      /a-file cannot be made: /,
    );
  });

  test("without a mesh is unreachable, which is exit 3", async () => {
    mkdirSync(at("nothing"), { recursive: true });
    for (const command of ["status", "flows"]) {
      const { code, stderr } = await cardea([command, "--state", at("nothing")]);
      expect(stderr).toMatch(/^cardea: no mesh .*start one: .*\n$/);
      expect(code).toBe(3);
    }
  });

  test.skipIf(process.getuid?.() === 0)(
    "that may not be written is refused (skipped for root, who may write it)",
    async () => {
      mkdirSync(at("closed"));
      chmodSync(at("closed"), 0o500);
      expectRefusal(await cardea(["up", "mesh.yaml", "--state", "closed"], { cwd: directory }), /permission denied/);
    },
  );
});

/** Ten levels of ten: the classic. */
function bomb(): string {
  const levels = Array.from({ length: 10 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(10).fill(`*l${i}`).join(", ")}]`);
  return ["l0: &l0 [x]", ...levels].join("\n");
}
