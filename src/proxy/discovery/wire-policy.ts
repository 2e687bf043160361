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
import { isTrafficKind, type TrafficKind } from "../../traffic/kinds.ts";

/** A document as it arrived, checked against its hash and its schema. */
export interface WirePolicy {
  readonly name: string;
  /** SHA-256 of its bytes. */
  readonly version: string;
  readonly content: WireContent;
}

export type WireContent =
  | { readonly kind: "policy"; readonly document: AuthorizationPolicy }
  | { readonly kind: "authentication"; readonly document: WireUnread<AuthenticationKind> }
  | { readonly kind: "keys"; readonly document: WireUnread<"KeySet"> }
  | { readonly kind: "traffic"; readonly document: WireUnread<TrafficKind> };

/** Not yet read: what reads it is loaded when the first of its family is put in force (wire-unread.ts). */
export interface WireUnread<Kind> {
  readonly kind: Kind;
  /** `kind/namespace/name`. */
  readonly name: string;
  readonly document: unknown;
  readonly source: WireSource;
}

/** Where a document was written, as the control plane says. */
interface WireSource {
  readonly file: string;
  readonly line: number | null;
}

/** A policy set as it arrived: what it is made of, not yet the policies themselves. */
export interface WirePolicySet {
  readonly version: string;
  readonly revision: string;
  /** Without the extension providers. */
  readonly settings: MeshSettings;
  /** The extension providers, each as JSON. */
  readonly providers: readonly string[];
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
  return { name: resource.name, version, content: contentOf(policy, resource.name, source) };
}

function contentOf(policy: Policy, name: string, source: WireSource): WireContent {
  const { kind } = policy;
  const document = parseJson(policy);
  if (isAuthenticationKind(kind)) return { kind: "authentication", document: { kind, name, document, source } };
  if (isTrafficKind(kind)) return { kind: "traffic", document: { kind, name, document, source } };
  if (kind === "KeySet") return { kind: "keys", document: { kind, name, document, source } };
  if (kind !== "AuthorizationPolicy")
    throw refused(policy, `a policy of kind ${JSON.stringify(kind)} is not known here`);
  const faults: Fault[] = [];
  const read = parseAuthorizationPolicy(locatePlain(document), { file: policy.file }, faults);
  if (read === null) throw refused(policy, faults.map((fault) => formatFault({ ...fault, ...source })).join("; "));
  if (name !== `${kind}/${read.id}`)
    throw refused(policy, `the document is ${read.id}, the resource is named otherwise`);
  // With the line that it has in its file: on the wire it has none.
  return { kind: "policy", document: { ...read, source } };
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
    providers: set.settings?.extensionProviders ?? [],
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
    numTrustedProxies: settings.numTrustedProxies,
    extensionProviders: [],
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
