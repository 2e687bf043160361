import type { CHECK_REQUEST } from "../../api/ext-authz-messages.ts";
import { parseSpiffeId, type SpiffeId, workloadNameOf } from "../../core/spiffe-id.ts";
import type { PeerFacts, RequestFacts, Workload } from "../../policy/facts.ts";

type CheckRequest = ReturnType<typeof CHECK_REQUEST.deserialize>;

/** What is asked, as policies see it. */
export interface CheckQuestion {
  readonly workload: Workload;
  readonly peer: PeerFacts;
  /** Null: bytes other than HTTP. The path is as the proxy sent it, with its query. */
  readonly request: RequestFacts | null;
}

/** What a proxy is taken to have said where it says nothing, and what it is believed. */
export interface CheckDefaults {
  readonly namespace: string | null;
  readonly labels: Readonly<Record<string, string>>;
  /** Of the workload's ports; null: as the proxy says. */
  readonly port: number | null;
  /** Whether x-forwarded-client-cert says who calls. Only where the proxy writes it anew, or nobody else can. */
  readonly trustsXfcc: boolean;
}

/** Keys of `context_extensions` that say which workload is asked about. */
export const CONTEXT_KEYS = { namespace: "cardea.namespace", labels: "cardea.labels", port: "cardea.port" } as const;

/** A text: why the question cannot be put to policies. */
export function readQuestion({ attributes }: CheckRequest, defaults: CheckDefaults): CheckQuestion | string {
  if (attributes === null) return "the check has no attributes";
  const { source, destination, request, contextExtensions, tlsSession } = attributes;
  const facts = request?.http == null ? null : requestOf(request.http);
  if (typeof facts === "string") return facts;
  const to = identityOf(destination?.principal ?? "");
  const workload = workloadOf(contextExtensions, { to, labels: destination?.labels ?? new Map(), defaults });
  if (typeof workload === "string") return workload;
  const port = portOf(contextExtensions) ?? defaults.port ?? destination?.address?.socketAddress?.portValue ?? 0;
  const sourceIp = source?.address?.socketAddress?.address ?? "";
  const peer = {
    principal: identityOf(source?.principal ?? "") ?? (defaults.trustsXfcc ? xfccIdentity(facts) : null),
    sourceIp,
    remoteIp: sourceIp,
    destinationIp: destination?.address?.socketAddress?.address ?? "",
    destinationPort: port,
    sni: tlsSession === null || tlsSession.sni === "" ? null : tlsSession.sni,
  };
  return { workload, peer, request: facts };
}

type HttpRequest = NonNullable<NonNullable<NonNullable<CheckRequest["attributes"]>["request"]>["http"]>;

function requestOf({ method, path, host, headers, headerMap }: HttpRequest): RequestFacts | string {
  if (method === "" || path === "") return "the check has a request without method or path";
  const fields = new Map(headers);
  for (const { key, value, rawValue } of headerMap?.headers ?? []) {
    const name = key.toLowerCase();
    const text = rawValue.length > 0 ? rawValue.toString("latin1") : value;
    const before = fields.get(name);
    fields.set(name, before === undefined ? text : `${before},${text}`);
  }
  // No token was verified here: what a policy says of one never matches.
  return { method, path, host, header: (lowerName) => fields.get(lowerName), claims: null };
}

interface WorkloadHints {
  readonly to: SpiffeId | null;
  readonly labels: ReadonlyMap<string, string>;
  readonly defaults: CheckDefaults;
}

function workloadOf(context: ReadonlyMap<string, string>, { to, labels, defaults }: WorkloadHints): Workload | string {
  const own = to === null ? null : workloadNameOf(to);
  const namespace = context.get(CONTEXT_KEYS.namespace) ?? own?.namespace ?? defaults.namespace;
  if (namespace === null) return `nothing says which namespace is asked about (${CONTEXT_KEYS.namespace}, --namespace)`;
  const told = context.get(CONTEXT_KEYS.labels);
  const read = told === undefined ? null : parseLabels(told);
  if (told !== undefined && read === null) return `${CONTEXT_KEYS.labels} is no list like app=web,version=v1`;
  const known = labels.size > 0 ? Object.fromEntries(labels) : defaults.labels;
  return { namespace, labels: read ?? known };
}

/** `app=web,version=v1` → labels; null: it is no such list. */
export function parseLabels(text: string): Readonly<Record<string, string>> | null {
  if (text === "") return {};
  const pairs = text.split(",").map((pair) => /^([^=\s]+)=([^=\s]*)$/.exec(pair));
  if (pairs.some((pair) => pair === null)) return null;
  return Object.fromEntries(pairs.map((pair) => [pair![1]!, pair![2]!]));
}

function portOf(context: ReadonlyMap<string, string>): number | null {
  const told = context.get(CONTEXT_KEYS.port);
  return told !== undefined && /^[0-9]{1,5}$/.test(told) ? Number(told) : null;
}

/** Null: it proves no identity that policies could name. */
function identityOf(principal: string): SpiffeId | null {
  try {
    return principal === "" ? null : parseSpiffeId(principal);
  } catch {
    return null;
  }
}

/** Who the last proxy says has called: the one URI of the one element. More of either may be anybody's words. */
function xfccIdentity(request: RequestFacts | null): SpiffeId | null {
  const field = request?.header("x-forwarded-client-cert") ?? "";
  if (field.includes(",") || field.includes('"')) return null;
  const uris = field.split(";").filter((part) => part.toLowerCase().startsWith("uri="));
  return uris.length === 1 ? identityOf(uris[0]!.slice("uri=".length)) : null;
}
