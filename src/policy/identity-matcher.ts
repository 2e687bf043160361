import { type SpiffeId, trustDomainOf, workloadNameOf } from "../core/spiffe-id.ts";
import { compileText, matchesText } from "./matcher.ts";
import type { MeshSettings } from "./mesh-settings.ts";

/** Whether a verified identity matches. Built when policies change, asked once a connection. */
export type IdentityMatcher = (id: SpiffeId) => boolean;

const SCHEME = "spiffe://";

/** `principals`: patterns without the scheme, with the mesh's trust domain standing for its aliases. */
export function principalMatcher(patterns: readonly string[], settings: MeshSettings): IdentityMatcher {
  const matcher = compileText(patterns.flatMap((pattern) => withAliases(pattern, settings)));
  return (id) => matchesText(matcher, id.slice(SCHEME.length));
}

/**
 * `namespaces`. A matcher that grants takes local identities of the shape `/ns/<namespace>/sa/<account>` alone;
 * a wide one takes all that Istio's regular expression `.*\/ns/<namespace>/.*` does, other trust domains included.
 */
export function namespaceMatcher(
  patterns: readonly string[],
  settings: MeshSettings,
  isWide: boolean,
): IdentityMatcher {
  const globs = patterns.map((pattern) => pattern.split("*"));
  if (isWide) return (id) => globs.some((glob) => containsInOrder(id, wrapped(glob)));
  const domains = localDomains(settings);
  return (id) => {
    const name = domains.has(trustDomainOf(id)) ? workloadNameOf(id) : null;
    return name !== null && globs.some((glob) => matchesGlob(name.namespace, glob));
  };
}

/** `serviceAccounts`: `account` (of the policy's own namespace) or `namespace/account`. Narrow and wide as namespaces. */
export function serviceAccountMatcher(
  values: readonly string[],
  policyNamespace: string,
  settings: MeshSettings,
  isWide: boolean,
): IdentityMatcher {
  const names = values.map((value) => (value.includes("/") ? value : `${policyNamespace}/${value}`));
  if (isWide) return (id) => names.some((name) => holdsAccount(id, name));
  const domains = localDomains(settings);
  const known = new Set(names);
  return (id) => {
    const name = domains.has(trustDomainOf(id)) ? workloadNameOf(id) : null;
    return name !== null && known.has(`${name.namespace}/${name.serviceAccount}`);
  };
}

/** `trustDomains`: naming one of the mesh's own trust domains names all of its aliases. */
export function trustDomainMatcher(patterns: readonly string[], settings: MeshSettings): IdentityMatcher {
  const domains = [...localDomains(settings)];
  const matcher = compileText(
    patterns.flatMap((pattern) => (domains.some((each) => each === pattern) ? domains : [pattern])),
  );
  // Istio's patterns but `*` end in a slash, so an identity that is only a trust domain fits none of them.
  return (id) => matcher.anyText || (id.includes("/", SCHEME.length) && matchesText(matcher, trustDomainOf(id)));
}

/**
 * A principal's pattern in all names of the local trust domain. Istio's ReplaceTrustDomainAliases to the letter:
 * `cluster.local` always points at the local domain, and a pattern that takes any domain is left alone.
 */
export function withAliases(pattern: string, settings: MeshSettings): readonly string[] {
  const steps = pattern.split("/");
  const domain = steps[0]!;
  if (steps.length !== 5) return [pattern];
  const domains = [settings.trustDomain, ...settings.trustDomainAliases];
  const isLocal = domain === "cluster.local" || domains.some((each) => areAlike(domain, each));
  if (!isLocal) return [pattern];
  const rest = steps.slice(1).join("/");
  return [...new Set(domains.map((each) => (isSuffixOf(each, domain) ? pattern : `${each}/${rest}`)))];
}

/** Either may hold the star (Istio's trustdomain.stringMatch); a real trust domain never does. */
function areAlike(pattern: string, domain: string): boolean {
  const isPrefix = pattern.endsWith("*") && domain.startsWith(pattern.slice(0, -1));
  return pattern === domain || isPrefix || isSuffixOf(domain, pattern);
}

function isSuffixOf(text: string, pattern: string): boolean {
  return pattern.startsWith("*") && text.endsWith(pattern.slice(1));
}

/** All names of the mesh's own trust domain. */
export function localDomains(settings: MeshSettings): ReadonlySet<string> {
  return new Set([settings.trustDomain, ...settings.trustDomainAliases]);
}

/** A glob's texts, of which the first must begin the text and the last must end it. */
function matchesGlob(text: string, glob: readonly string[]): boolean {
  const last = glob.at(-1)!;
  if (glob.length === 1) return text === last;
  if (!text.startsWith(glob[0]!) || !text.endsWith(last) || text.length < glob[0]!.length + last.length) return false;
  return containsInOrder(text.slice(glob[0]!.length, text.length - last.length), glob.slice(1, -1));
}

function wrapped(glob: readonly string[]): readonly string[] {
  if (glob.length === 1) return [`/ns/${glob[0]!}/`];
  return [`/ns/${glob[0]!}`, ...glob.slice(1, -1), `${glob.at(-1)!}/`];
}

/** Each text found after the one before it; taking the first place each time leaves the most room for the rest. */
function containsInOrder(text: string, wanted: readonly string[]): boolean {
  let at = 0;
  for (const each of wanted) {
    const found = text.indexOf(each, at);
    if (found < 0) return false;
    at = found + each.length;
  }
  return true;
}

/** Istio's `spiffe://.+/ns/<ns>/(.+/|)sa/<sa>(/.+)?`, matched whole. */
function holdsAccount(id: string, name: string): boolean {
  const slash = name.indexOf("/");
  const namespaceStep = `/ns/${name.slice(0, slash)}/`;
  // Past the trust domain, which may itself be called `ns`.
  const start = id.indexOf(namespaceStep, SCHEME.length);
  if (start < 0) return false;
  const rest = `/${id.slice(start + namespaceStep.length)}`;
  const accountStep = `/sa/${name.slice(slash + 1)}`;
  for (let at = rest.indexOf(accountStep); at >= 0; at = rest.indexOf(accountStep, at + 1)) {
    const after = rest.slice(at + accountStep.length);
    // A SPIFFE ID never ends in a slash, so something follows it.
    if (after === "" || after.startsWith("/")) return true;
  }
  return false;
}
