import type { Steps } from "../core/slices.ts";
import type { DestinationRule, SubsetRule } from "./destination-rule.ts";
import type { DocumentOf } from "./document.ts";
import { isExportedTo } from "./export-to.ts";
import { HostTable } from "./host-table.ts";
import { CLUSTER_DOMAIN, isWildcard, namespaceOfHost, suffixOf } from "./hosts.ts";
import { NO_LAYERS, type PolicyLayers } from "./policy-layers.ts";

/** Whose requests rules are compiled for. */
export interface Client {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface RuleIndex {
  /** What holds for a host, or for a wildcard's hosts; empty: no rule. */
  choose(host: string): readonly DocumentOf<DestinationRule>[];
  /** All hosts and wildcards for which `choose` may say something of its own. */
  readonly hosts: ReadonlySet<string>;
}

/**
 * The rules that a client heeds. As in Istio those of its own namespace come first, then those of the service's, then
 * those of the root namespace; where one of them speaks of the host at all, its most specific rules hold alone.
 */
export function* indexRules(
  rules: readonly DocumentOf<DestinationRule>[],
  client: Client,
  rootNamespace: string,
): Steps<RuleIndex> {
  const byNamespace = new Map<string, HostTable<DocumentOf<DestinationRule>>>();
  /** Of names that tell of no namespace, those that rule them. */
  const owners = new Map<string, string>();
  const hosts = new Set<string>();
  const heeded = rules.filter((rule) => isHeeded(rule, client));
  for (const rule of heeded.toSorted(byId)) {
    const touched = hostTouched(rule, [client.namespace, rootNamespace]);
    yield;
    if (touched === null) continue;
    hosts.add(touched);
    const table = byNamespace.get(rule.namespace) ?? new HostTable();
    byNamespace.set(rule.namespace, table);
    table.add(rule.host, rule);
    if (namespaceOfHost(rule.host) === null && !owners.has(rule.host)) owners.set(rule.host, rule.namespace);
  }

  function choose(host: string): readonly DocumentOf<DestinationRule>[] {
    const ofService = namespaceOfHost(host) ?? (isWildcard(host) ? undefined : owners.get(host));
    const own = client.namespace === rootNamespace ? undefined : client.namespace;
    for (const namespace of [own, ofService, rootNamespace]) {
      const found = namespace === undefined ? undefined : byNamespace.get(namespace)?.mostSpecific(host);
      if (found !== undefined) return withSelectorFirst(found);
    }
    return [];
  }
  return { choose, hosts };
}

/** Several rules for one host lend each other their subsets; of the rest the first that has any is the one (Istio's merge). */
export interface MergedRule {
  readonly layers: PolicyLayers;
  readonly subsets: ReadonlyMap<string, SubsetRule>;
}

export function mergeRules(rules: readonly DestinationRule[]): MergedRule {
  const subsets = new Map<string, SubsetRule>();
  for (const subset of rules.flatMap((rule) => rule.subsets))
    if (!subsets.has(subset.name)) subsets.set(subset.name, subset);
  return { layers: rules.find((rule) => rule.hasPolicy)?.layers ?? NO_LAYERS, subsets };
}

/** Selectors of clients reach no further than their own namespace. */
function isHeeded({ exportTo, clientLabels, namespace }: DocumentOf<DestinationRule>, client: Client): boolean {
  if (!isExportedTo(exportTo, client.namespace)) return false;
  if (clientLabels === null) return true;
  const isSelected = [...clientLabels].every(([name, value]) => client.labels[name] === value);
  return namespace === client.namespace && isSelected;
}

/**
 * The host or wildcard that a rule speaks of. One that belongs neither to the client's namespace nor to the root speaks
 * only of the services of its own; null: of none.
 */
function hostTouched({ host, namespace }: DocumentOf<DestinationRule>, everywhere: readonly string[]): string | null {
  if (everywhere.includes(namespace)) return host;
  const ofHost = namespaceOfHost(host);
  if (ofHost !== null) return ofHost === namespace ? host : null;
  if (!isWildcard(host)) return host;
  const own = `.${namespace}.svc.${CLUSTER_DOMAIN}`;
  return own.endsWith(suffixOf(host)) ? `*${own}` : null;
}

function withSelectorFirst(rules: readonly DocumentOf<DestinationRule>[]): readonly DocumentOf<DestinationRule>[] {
  const selecting = rules.filter(({ clientLabels }) => clientLabels !== null);
  return selecting.length > 0 ? selecting : rules;
}

function byId(left: { readonly id: string }, right: { readonly id: string }): number {
  return left.id < right.id ? -1 : left.id > right.id ? 1 : 0;
}
