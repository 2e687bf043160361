import { parseIp } from "../../core/cidr.ts";
import type { Fault, Located } from "../../core/located.ts";
import {
  addFault,
  boolean,
  ignored,
  integer,
  listOf,
  mapOf,
  object,
  oneOf,
  optional,
  type Placed,
  parsed,
  placed,
  required,
  type Schema,
  type Scope,
  string,
  type ValueOf,
} from "../../core/schema.ts";
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe-id.ts";
import { CLAIMS, type Claims } from "../claims.ts";
import type { Workload } from "../facts.ts";

/** A PolicyTest document: a table of who asks what of whom, and what must come of it. */
export interface PolicyTest {
  readonly name: string;
  readonly file: string;
  readonly cases: readonly PolicyTestCase[];
}

/** One row after its lists were multiplied out. */
export interface PolicyTestCase {
  readonly name: string;
  readonly line: number | null;
  readonly from: TestPeer;
  readonly to: TestDestination;
  /** Null: bytes other than HTTP. */
  readonly request: TestRequest | null;
  readonly expect: "allow" | "deny";
  /** `namespace/name` of the policy that must have decided, where the test says so. */
  readonly policy: string | null;
}

/** The caller. A workload stands for its identity in the mesh's own trust domain. */
export interface TestPeer {
  readonly identity:
    | { readonly kind: "anonymous" }
    | { readonly kind: "principal"; readonly id: SpiffeId }
    | { readonly kind: "workload"; readonly namespace: string; readonly serviceAccount: string };
  readonly ip: string;
  readonly remoteIp: string;
  readonly sni: string | null;
}

export interface TestDestination extends Workload {
  readonly ip: string;
  readonly port: number;
}

export interface TestRequest {
  readonly method: string;
  /** As sent: it is normalised like any other before it is decided. */
  readonly path: string;
  readonly host: string;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  /** Of the token that the request brings, as verified; null: none. */
  readonly claims: Claims | null;
}

/** Addresses of documentation (RFC 5737), for tests that do not care. */
const SOURCE_IP = "192.0.2.1";
const DESTINATION_IP = "192.0.2.2";

/** A document → PolicyTest, or null with every fault added. */
export function parsePolicyTest(
  located: Located,
  source: { readonly file: string },
  faults: Fault[],
): PolicyTest | null {
  const scope: Scope = { file: source.file, field: "", faults };
  const document = DOCUMENT(located, scope);
  if (document === undefined) return null;
  const faultsBefore = faults.length;
  const { spec } = document;
  const cases = spec.tests.flatMap((test) => expand(test, spec.to, scope));
  return faults.length === faultsBefore ? { name: document.metadata.name, file: source.file, cases } : null;
}

const WORKLOAD_NAME = /^([a-z0-9-]+)\/([a-z0-9.-]+)$/;

/** `namespace/serviceAccount`, a whole SPIFFE ID with or without its scheme, or `anonymous`. */
const CALLER: Schema<TestPeer> = (value, scope) => {
  if (value.kind === "map") return readCallerFields(value, scope);
  const text = string()(value, scope);
  if (text === undefined) return undefined;
  if (text === "anonymous") return peerOf({ kind: "anonymous" });
  const name = WORKLOAD_NAME.exec(text);
  if (name !== null) return peerOf({ kind: "workload", namespace: name[1]!, serviceAccount: name[2]! });
  // A bare word would be read as a trust domain, and a test that expects a denial would hold by mistake.
  if (!text.includes("/"))
    return addFault(
      scope,
      value.at,
      `expected namespace/serviceAccount, a SPIFFE ID or anonymous, found ${JSON.stringify(text)}`,
    );
  const id = PRINCIPAL(value, scope);
  return id === undefined ? undefined : peerOf({ kind: "principal", id });
};

const PRINCIPAL = parsed(string(), (text) => parseSpiffeId(text.startsWith("spiffe://") ? text : `spiffe://${text}`));

const IP = parsed(string(), (text) => {
  if (parseIp(text) !== null) return text;
  throw new Error(`expected an IP address, found ${JSON.stringify(text)}`);
});

const CALLER_FIELDS = object({
  principal: optional(PRINCIPAL),
  namespace: optional(string()),
  serviceAccount: optional(string()),
  anonymous: optional(boolean()),
  ip: optional(IP),
  remoteIp: optional(IP),
  sni: optional(string()),
});

function readCallerFields(value: Located, scope: Scope): TestPeer | undefined {
  const fields = CALLER_FIELDS(value, scope);
  if (fields === undefined) return undefined;
  const { principal, namespace, serviceAccount } = fields;
  const ways = [principal !== null, namespace !== null || serviceAccount !== null, fields.anonymous === true];
  const isHalf = (namespace === null) !== (serviceAccount === null);
  if (isHalf || ways.filter(Boolean).length !== 1)
    return addFault(scope, value.at, "needs one of: principal; namespace and serviceAccount; anonymous: true");
  const ip = fields.ip ?? SOURCE_IP;
  const rest = { ip, remoteIp: fields.remoteIp ?? ip, sni: fields.sni };
  if (principal !== null) return { identity: { kind: "principal", id: principal }, ...rest };
  if (namespace !== null && serviceAccount !== null)
    return { identity: { kind: "workload", namespace, serviceAccount }, ...rest };
  return { identity: { kind: "anonymous" }, ...rest };
}

function peerOf(identity: TestPeer["identity"]): TestPeer {
  return { identity, ip: SOURCE_IP, remoteIp: SOURCE_IP, sni: null };
}

const PORT = integer({ min: 0, max: 65_535 });

const DESTINATION_FIELDS = object({
  namespace: required(string()),
  labels: optional(mapOf(string({ allowEmpty: true }))),
  serviceAccount: optional(string()),
  ip: optional(IP),
  port: required(PORT),
});

/** A map, or `namespace/app:port` for the workload whose label `app` has that value. */
const DESTINATION: Schema<TestDestination> = (value, scope) => {
  if (value.kind === "map") {
    const fields = DESTINATION_FIELDS(value, scope);
    if (fields === undefined) return undefined;
    const { namespace, port } = fields;
    return { namespace, labels: Object.fromEntries(fields.labels ?? []), ip: fields.ip ?? DESTINATION_IP, port };
  }
  const text = string()(value, scope);
  const parts = /^([a-z0-9-]+)\/([A-Za-z0-9._-]+):(\d{1,5})$/.exec(text ?? "");
  if (text === undefined) return undefined;
  if (parts === null) return addFault(scope, value.at, `expected namespace/app:port, found ${JSON.stringify(text)}`);
  return { namespace: parts[1]!, labels: { app: parts[2]! }, ip: DESTINATION_IP, port: Number(parts[3]) };
};

/** One or several: `GET` or `[GET, HEAD]`. */
function oneOrMore<T>(schema: Schema<T>): Schema<readonly T[]> {
  const list = listOf(schema, { minCount: 1 });
  return (value, scope) => {
    if (value.kind === "list") return list(value, scope);
    const one = schema(value, scope);
    return one === undefined ? undefined : [one];
  };
}

const TEXTS = optional(oneOrMore(string()));

const REQUEST = object({
  method: TEXTS,
  methods: TEXTS,
  path: TEXTS,
  paths: TEXTS,
  host: optional(string()),
  headers: optional(mapOf(string({ allowEmpty: true }))),
  claims: optional(CLAIMS),
});

const TEST = object({
  name: required(string()),
  from: required(oneOrMore(CALLER)),
  to: optional(DESTINATION),
  protocol: optional(oneOf("http", "tcp")),
  request: optional(placed(REQUEST)),
  expect: required(oneOf("allow", "deny")),
  policy: optional(string()),
});

const DOCUMENT = object({
  apiVersion: required(oneOf("cardea.dev/v1")),
  kind: required(oneOf("PolicyTest")),
  metadata: required(
    object({ name: required(string()), namespace: ignored(), labels: ignored(), annotations: ignored() }),
  ),
  spec: required(object({ to: optional(DESTINATION), tests: required(listOf(placed(TEST), { minCount: 1 })) })),
});

type TestFields = ValueOf<typeof TEST>;

/** Every caller with every request of a row. */
function expand(test: Placed<TestFields>, sharedTo: TestDestination | null, scope: Scope): PolicyTestCase[] {
  const { name, from, expect, policy } = test.value;
  const to = test.value.to ?? sharedTo;
  const inTest = { ...scope, field: test.field };
  if (to === null) {
    addFault(inTest, test.at, "needs a destination: `to` here, or one in spec for all tests");
    return [];
  }
  const line = test.at?.line ?? null;
  return from.flatMap((caller) =>
    readRequests(test, inTest).map((request) => ({ name, line, from: caller, to, request, expect, policy })),
  );
}

function readRequests(test: Placed<TestFields>, scope: Scope): readonly (TestRequest | null)[] {
  const { request, protocol } = test.value;
  if (request === null) {
    if (protocol === "http") addFault(scope, test.at, "needs a request, since its protocol is http");
    return [null];
  }
  if (protocol === "tcp") addFault(scope, test.at, "cannot have a request: its protocol is tcp");
  const { method, methods, path, paths, host, headers, claims } = request.value;
  if (method !== null && methods !== null) addFault(scope, request.at, "has both `method` and `methods`");
  if (path !== null && paths !== null) addFault(scope, request.at, "has both `path` and `paths`");
  const lowerHeaders = new Map([...(headers ?? [])].map(([name, value]) => [name.toLowerCase(), value]));
  return (methods ?? method ?? ["GET"]).flatMap((eachMethod) =>
    (paths ?? path ?? ["/"]).map((eachPath) => ({
      method: eachMethod,
      path: eachPath,
      host: host ?? "",
      headers: lowerHeaders,
      claims,
    })),
  );
}
