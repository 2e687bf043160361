import { parsed, string } from "../core/schema.ts";

/** The DNS domain of a mesh's own services. */
export const CLUSTER_DOMAIN = "cluster.local";

const LABEL = /^[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?$/;

/** A host that a rule is for: a name, `*`, or `*.` and a name; read in lower case. */
export const HOST = parsed(string(), parseHost);

/** The same of a text that is part of another. Throws what was expected. */
export function parseHost(text: string): string {
  const host = text.toLowerCase();
  const name = host.startsWith("*.") ? host.slice(2) : host;
  if (host === "*" || (host.length <= 253 && name.split(".").every((label) => LABEL.test(label)))) return host;
  throw new Error(`expected a host, \`*\`, or \`*.\` and a host, found ${JSON.stringify(text)}`);
}

/** A host that requests are sent to: never a wildcard. */
export const DESTINATION_HOST = parsed(HOST, (host) => {
  if (isWildcard(host)) throw new Error("must be one host: nobody answers to a wildcard");
  return host;
});

export function isWildcard(host: string): boolean {
  return host.startsWith("*");
}

/** As Istio resolves it: a name without a dot is a service of the document's own namespace, any other is a full name. */
export function fullHost(host: string, namespace: string): string {
  return host.includes(".") || isWildcard(host) ? host : serviceHost(host, namespace);
}

export function serviceHost(name: string, namespace: string): string {
  return `${name}.${namespace}.svc.${CLUSTER_DOMAIN}`;
}

/** `shop` of `orders.shop.svc.cluster.local` and of `*.shop.svc.cluster.local`; null where the name does not tell. */
export function namespaceOfHost(host: string): string | null {
  const [, namespace, svc, ...domain] = host.split(".");
  return svc === "svc" && domain.join(".") === CLUSTER_DOMAIN ? namespace! : null;
}

/** What all names that a wildcard matches end in: `*.shop` → `.shop`, `*` → nothing. */
export function suffixOf(wildcard: string): string {
  return wildcard.slice(1);
}

/** The wildcards that match a host or all that a wildcard matches, the longest first; without itself. */
export function* wildcardsAround(host: string): Generator<string> {
  const name = isWildcard(host) ? host.slice(2) : host;
  for (let dot = name.indexOf("."); dot !== -1; dot = name.indexOf(".", dot + 1)) yield `*${name.slice(dot)}`;
  if (host !== "*") yield "*";
}
