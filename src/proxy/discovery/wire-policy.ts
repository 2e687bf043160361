import { unpackAny } from "../../api/any.ts";
import { POLICY, POLICY_SET, type Policy, type PolicySet, type Resource } from "../../api/messages.ts";
import { POLICY_SET_TYPE, POLICY_TYPE } from "../../api/resource-types.ts";
import { versionOf } from "../../api/resource-version.ts";
import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { type Fault, formatFault, locatePlain } from "../../core/located.ts";
import { parseTrustDomain } from "../../core/spiffe-id.ts";
import { type AuthenticationKind, isAuthenticationKind } from "../../policy/authentication/kinds.ts";
import { type AuthorizationPolicy, parseAuthorizationPolicy } from "../../policy/document.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import { isTrafficKind, parseTrafficDocument, type TrafficDocument } from "../../traffic/document.ts";

/** A document as it arrived, checked against its hash and its schema. */
export interface WirePolicy {
  readonly name: string;
  /** SHA-256 of its bytes. */
  readonly version: string;
  readonly content: WireContent;
}

export type WireContent =
  | { readonly kind: "policy"; readonly document: AuthorizationPolicy }
  | { readonly kind: "authentication"; readonly document: WireAuthentication }
  | { readonly kind: "traffic"; readonly document: TrafficDocument };

/** How callers are known: not yet read, since few sidecars ever load what reads it (wire-authentication.ts). */
export interface WireAuthentication {
  readonly kind: AuthenticationKind;
  /** `kind/namespace/name`. */
  readonly name: string;
  readonly document: unknown;
  readonly source: { readonly file: string; readonly line: number | null };
}

/** A policy set as it arrived: what it is made of, not yet the policies themselves. */
export interface WirePolicySet {
  readonly version: string;
  readonly revision: string;
  readonly settings: MeshSettings;
  /** Policy name → version. */
  readonly hashes: ReadonlyMap<string, string>;
  /** See PolicySet.scope in policy.proto. */
  readonly scope: readonly ReadonlyMap<string, string>[];
}

/** Errors: `bad-input`, naming the policy's own file and line. */
export function readWirePolicy(resource: Resource): WirePolicy {
  const version = checkedVersion(resource);
  const policy = unpackAny(POLICY, POLICY_TYPE, resource.resource);
  const source = { file: policy.file, line: policy.line === 0 ? null : policy.line };
  if (isAuthenticationKind(policy.kind)) {
    const document = { kind: policy.kind, name: resource.name, document: parseJson(policy), source };
    return { name: resource.name, version, content: { kind: "authentication", document } };
  }
  const faults: Fault[] = [];
  const content = readContent(policy, faults);
  if (content === null) throw refused(policy, faults.map((fault) => formatFault({ ...fault, ...source })).join("; "));
  if (resource.name !== `${policy.kind}/${content.document.id}`)
    throw refused(policy, `the document is ${content.document.id}, the resource is named otherwise`);
  return { name: resource.name, version, content: placed(content, source) };
}

type ReadContent = Exclude<WireContent, { kind: "authentication" }>;

function readContent(policy: Policy, faults: Fault[]): ReadContent | null {
  const { kind, file } = policy;
  const isTraffic = isTrafficKind(kind);
  if (!isTraffic && kind !== "AuthorizationPolicy")
    throw refused(policy, `a policy of kind ${JSON.stringify(kind)} is not known here`);
  const located = locatePlain(parseJson(policy));
  if (isTraffic) {
    const document = parseTrafficDocument(kind, located, { file }, faults);
    return document === null ? null : { kind: "traffic", document };
  }
  const document = parseAuthorizationPolicy(located, { file }, faults);
  return document === null ? null : { kind: "policy", document };
}

/** With the line that it has in its file: on the wire it has none. */
function placed(content: ReadContent, source: { readonly file: string; readonly line: number | null }): WireContent {
  if (content.kind === "policy") return { kind: "policy", document: { ...content.document, source } };
  return { kind: "traffic", document: { ...content.document, source } };
}

/** Errors: `bad-input`, `spiffe-id-invalid`. */
export function readWirePolicySet(resource: Resource): WirePolicySet {
  const version = checkedVersion(resource);
  const set = unpackAny(POLICY_SET, POLICY_SET_TYPE, resource.resource);
  if (set.revision === "") throw new CardeaError("bad-input", "the policy set has no revision");
  return {
    version,
    revision: set.revision,
    settings: readSettings(set),
    hashes: set.hashes,
    scope: set.scope.map(({ labels }) => labels),
  };
}

/** The version that a resource claims must be that of its bytes. */
function checkedVersion({ name, version, resource }: Resource): string {
  const actual = versionOf(resource?.value ?? Buffer.alloc(0));
  if (version === actual) return actual;
  throw new CardeaError("bad-input", `${name}: the version is not the hash of what has arrived`);
}

function parseJson(policy: Policy): unknown {
  try {
    return JSON.parse(policy.document);
  } catch (thrown) {
    throw refused(policy, `the document is not JSON: ${toCardeaError(thrown).message}`);
  }
}

function readSettings({ settings }: PolicySet): MeshSettings {
  if (settings === null) throw new CardeaError("bad-input", "the policy set has no mesh settings");
  return {
    trustDomain: parseTrustDomain(settings.trustDomain),
    trustDomainAliases: settings.trustDomainAliases.map(parseTrustDomain),
    rootNamespace: settings.rootNamespace,
    enforcement: known(settings.enforcement),
    defaultAction: known(settings.defaultAction),
    pathNormalization: known(settings.pathNormalization),
  };
}

/** A number stands for a word that a newer control plane has and this sidecar does not know. */
function known<Word extends string>(setting: Word | number): Word {
  if (typeof setting !== "number") return setting;
  throw new CardeaError("bad-input", `the mesh setting ${setting} is not known here`);
}

function refused(policy: Policy, why: string): CardeaError {
  const place = policy.line === 0 ? policy.file : `${policy.file}:${policy.line}`;
  return new CardeaError(
    "bad-input",
    why.startsWith(place) ? why : `${place}: ${policy.namespace}/${policy.name}: ${why}`,
  );
}
