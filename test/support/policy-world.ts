import type { Decision } from "../../src/policy/decide.ts";
import { decideQuestion } from "../../src/policy/explain.ts";
import type { PeerFacts, Question, RequestFacts, Workload } from "../../src/policy/facts.ts";
import { interpret } from "../../src/policy/interpret.ts";
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe-id.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../../src/policy/mesh-settings.ts";
import { policyOf } from "./policy-arbitraries.ts";

/** A request in a test's own words; all that is left out is beside the point. */
export interface Asked {
  readonly principal?: string | null;
  readonly ip?: string;
  readonly remoteIp?: string;
  readonly destinationIp?: string;
  readonly port?: number;
  readonly sni?: string | null;
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly claims?: RequestFacts["claims"];
  /** Bytes other than HTTP. */
  readonly isTcp?: boolean;
  readonly workload?: Workload;
  readonly settings?: Partial<Pick<MeshSettings, "rootNamespace" | "defaultAction">> & {
    readonly trustDomain?: string;
    readonly trustDomainAliases?: readonly string[];
  };
}

/** A policy of namespace `shop`; `name` may say another as `namespace/name`. */
export function policy(name: string, spec: object): object {
  const [namespace, own] = name.includes("/") ? name.split("/") : ["shop", name];
  return {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: own, namespace },
    spec,
  };
}

export function allow(...rules: readonly object[]): object {
  return policy("allow", { action: "ALLOW", rules });
}

export function deny(...rules: readonly object[]): object {
  return policy("deny", { action: "DENY", rules });
}

/** Allows whatever no DENY policy denies. */
export const ALLOW_ALL = policy("allow-all", { rules: [{}] });

export function from(source: object): object {
  return { from: [{ source }] };
}

export function to(operation: object): object {
  return { to: [{ operation }] };
}

export function when(
  key: string,
  values: { readonly values?: readonly string[]; readonly notValues?: readonly string[] },
): object {
  return { when: [{ key, ...values }] };
}

/** The decision, made by the compiled form and by the interpreter: they must agree in every test. */
export function decide(documents: readonly object[], asked: Asked): Decision {
  const policies = documents.map(policyOf);
  const question = questionOf(asked);
  const decision = decideQuestion(policies, question);
  const wanted = interpret(policies, question);
  if (JSON.stringify(decision) !== JSON.stringify(wanted))
    throw new Error(`compiled: ${JSON.stringify(decision)}, interpreted: ${JSON.stringify(wanted)}`);
  return decision;
}

/** Whether a request gets through. */
export function isAllowed(documents: readonly object[], asked: Asked): boolean {
  return decide(documents, asked).allow;
}

export function questionOf(asked: Asked): Question {
  const ip = asked.ip ?? "10.0.0.1";
  const peer: PeerFacts = {
    principal: principalOf(asked.principal),
    sourceIp: ip,
    remoteIp: asked.remoteIp ?? ip,
    destinationIp: asked.destinationIp ?? "10.0.0.2",
    destinationPort: asked.port ?? 8080,
    sni: asked.sni ?? null,
  };
  const headers = asked.headers ?? {};
  const request: RequestFacts = {
    method: asked.method ?? "GET",
    path: asked.path ?? "/",
    host: asked.host ?? "orders",
    header: (name) => headers[name],
    claims: asked.claims ?? null,
  };
  return {
    workload: asked.workload ?? { namespace: "shop", labels: { app: "orders" } },
    settings: settingsOf(asked.settings ?? {}),
    peer,
    request: asked.isTcp === true ? null : request,
  };
}

const WEB = "spiffe://cluster.local/ns/shop/sa/web";

function principalOf(text: string | null | undefined): PeerFacts["principal"] {
  return text === null ? null : parseSpiffeId(text ?? WEB);
}

function settingsOf({ trustDomain, trustDomainAliases, ...rest }: NonNullable<Asked["settings"]>): MeshSettings {
  return {
    ...DEFAULT_MESH_SETTINGS,
    ...rest,
    trustDomain: parseTrustDomain(trustDomain ?? "cluster.local"),
    trustDomainAliases: (trustDomainAliases ?? []).map(parseTrustDomain),
  };
}
