import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import { locatePlain } from "../../src/core/located.ts";
import { compilePolicy } from "../../src/policy/compile.ts";
import { bindPeer, decideBound, decideRequest, type PeerFacts, type RequestFacts } from "../../src/policy/decide.ts";
import { type AuthorizationPolicy, parseAuthorizationPolicy } from "../../src/policy/document.ts";
import { DEFAULT_MESH_SETTINGS } from "../../src/policy/mesh-settings.ts";

// What a decision costs, by the number of rules that select the workload and by what they have in common.
// Run: node bench/micro/decision.ts. Nothing fails here, the numbers go into bench/README.md.

const ROUNDS = 7;
const DECISIONS = 500_000;
const BINDINGS = 50_000;
const RULES_PER_POLICY = 10;

const peer: PeerFacts = {
  principal: parseSpiffeId("spiffe://cluster.local/ns/shop/sa/caller-7"),
  sourceIp: "10.0.0.1",
  remoteIp: "10.0.0.1",
  destinationIp: "10.0.0.2",
  destinationPort: 8080,
  sni: null,
};

function requestTo(path: string): RequestFacts {
  return { method: "GET", path, host: "orders.shop", header: () => undefined };
}

/** Rule i: its own caller, or one that all rules share; its own path; one port. */
function policiesOf(ruleCount: number, callerOf: (index: number) => string): AuthorizationPolicy[] {
  const rules = Array.from({ length: ruleCount }, (_, i) => ({
    from: [{ source: { principals: [`cluster.local/ns/shop/sa/${callerOf(i)}`] } }],
    to: [{ operation: { methods: ["GET", "HEAD"], paths: [`/items-${i}`, `/items-${i}/*`], ports: ["8080"] } }],
  }));
  const documents = Array.from({ length: Math.ceil(ruleCount / RULES_PER_POLICY) }, (_, i) => ({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: `p${i}`, namespace: "shop" },
    spec: { rules: rules.slice(i * RULES_PER_POLICY, (i + 1) * RULES_PER_POLICY) },
  }));
  return documents.flatMap((document) => parseAuthorizationPolicy(locatePlain(document), { file: "bench" }, []) ?? []);
}

/** CPU time of one run, in ns; the best of some rounds. */
function nanosOf(count: number, run: (index: number) => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let i = 0; i < count; i++) run(i);
    const spent = process.cpuUsage(before);
    best = Math.min(best, ((spent.user + spent.system) * 1_000) / count);
  }
  return best;
}

const WORLDS = [
  { name: "each rule its own caller", callerOf: (i: number) => `caller-${i}` },
  { name: "all rules the same caller", callerOf: () => "caller-7" },
];

process.stdout.write("                            rules  compile ms  bind ns  allowed ns  denied ns  unbound ns\n");
for (const { name, callerOf } of WORLDS) {
  for (const ruleCount of [10, 1_000]) {
    const documents = policiesOf(ruleCount, callerOf);
    const beganMs = performance.now();
    const compiled = compilePolicy(documents, { namespace: "shop", labels: {} }, DEFAULT_MESH_SETTINGS);
    const compileMs = performance.now() - beganMs;
    const bound = bindPeer(compiled, peer);
    const allowed = requestTo("/items-7/1");
    const denied = requestTo("/other");
    const numbers = [
      compileMs.toFixed(1).padStart(11),
      nanosOf(BINDINGS, () => bindPeer(compiled, peer))
        .toFixed(0)
        .padStart(8),
      nanosOf(DECISIONS, () => decideBound(bound, allowed))
        .toFixed(0)
        .padStart(11),
      nanosOf(ruleCount > 100 ? BINDINGS : DECISIONS, () => decideBound(bound, denied))
        .toFixed(0)
        .padStart(10),
      nanosOf(BINDINGS, () => decideRequest(compiled, peer, allowed))
        .toFixed(0)
        .padStart(11),
    ];
    process.stdout.write(`${name.padEnd(28)}${String(ruleCount).padStart(5)} ${numbers.join(" ")}\n`);
  }
}
