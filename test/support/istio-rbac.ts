/**
 * The configuration of Envoy's RBAC filter that Istio generates for an AuthorizationPolicy on HTTP, by its published rules
 * (istio/istio pilot/pkg/security/authz: model, generator, matcher), without tokens: a second reading of the language, of
 * which nothing is shared with ours. A test compares it with Istio's own examples.
 */

type Json = { readonly [key: string]: unknown };

interface PolicyDocument {
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: { readonly action?: string; readonly rules?: readonly RuleDocument[] };
}

type Values = readonly string[] | undefined;
type Fields = Readonly<Record<string, Values>>;

interface RuleDocument {
  readonly from?: readonly { readonly source: Fields }[];
  readonly to?: readonly { readonly operation: Fields }[];
  readonly when?: readonly { readonly key: string; readonly values?: Values; readonly notValues?: Values }[];
}

export interface RbacOptions {
  /** What a port of the policies is on the listener that is configured. */
  readonly port?: (port: number) => number;
}

/** The `rules` of one filter: all policies of one action. */
export function rbacRules(
  policies: readonly PolicyDocument[],
  action: "ALLOW" | "DENY",
  { port = (same) => same }: RbacOptions = {},
): Json {
  const named: Record<string, Json> = {};
  for (const { metadata, spec } of policies) {
    const { name, namespace = "" } = metadata;
    const rules = spec?.rules ?? [];
    for (const [index, rule] of rules.entries())
      named[nameOf(namespace, name, index)] = policyOf(rule, { namespace, port });
    if (rules.length === 0) named[nameOf(namespace, name, 0)] = NEVER;
  }
  return { ...(action === "DENY" ? { action } : {}), policies: named };
}

function nameOf(namespace: string, name: string, index: number): string {
  return `ns[${namespace}]-policy[${name}]-rule[${index}]`;
}

const NEVER: Json = {
  permissions: [{ notRule: { any: true } }],
  principals: [{ notId: { any: true } }],
};

interface Context {
  readonly namespace: string;
  readonly port: (port: number) => number;
}

type Matcher = (value: string) => Json;

function policyOf({ from, to, when = [] }: RuleDocument, context: Context): Json {
  const baseIds = when.flatMap(({ key, values, notValues }) =>
    listed(idMatcher(key, context), "Ids", values, notValues),
  );
  const basePermissions = when.flatMap(({ key, values, notValues }) =>
    listed(permissionMatcher(key, context), "Rules", values, notValues),
  );
  const ids = (from ?? [null]).map((each) => [
    ...(each === null ? [] : fieldsOf(each.source, SOURCE, idMatcher, "Ids", context)),
    ...baseIds,
  ]);
  const permissions = (to ?? [null]).map((each) => [
    ...(each === null ? [] : fieldsOf(each.operation, OPERATION, permissionMatcher, "Rules", context)),
    ...basePermissions,
  ]);
  return {
    permissions: permissions.map((rules) => ({ andRules: { rules: rules.length === 0 ? [{ any: true }] : rules } })),
    principals: ids.map((each) => ({ andIds: { ids: each.length === 0 ? [{ any: true }] : each } })),
  };
}

/** Each field with its key, the last to be inserted first. */
const SOURCE: readonly (readonly [string, string])[] = [
  ["principals", "source.principal"],
  ["serviceAccounts", "source.serviceAccount"],
  ["trustDomains", "source.trustDomain"],
  ["namespaces", "source.namespace"],
  ["remoteIpBlocks", "remote.ip"],
  ["ipBlocks", "source.ip"],
];

const OPERATION: readonly (readonly [string, string])[] = [
  ["hosts", "host"],
  ["methods", "method"],
  ["paths", "path"],
  ["ports", "destination.port"],
];

function fieldsOf(
  fields: Fields,
  table: readonly (readonly [string, string])[],
  matcherFor: (key: string, context: Context) => Matcher | null,
  kind: "Ids" | "Rules",
  context: Context,
): readonly Json[] {
  return table.flatMap(([name, key]) => {
    const not = `not${name[0]!.toUpperCase()}${name.slice(1)}`;
    return listed(matcherFor(key, context), kind, fields[name], fields[not]);
  });
}

function listed(matcher: Matcher | null, kind: "Ids" | "Rules", values: Values, notValues: Values): readonly Json[] {
  if (matcher === null) return [];
  const or = (list: readonly string[]): Json => ({
    [`or${kind}`]: { [kind.toLowerCase()]: list.map((value) => matcher(value)) },
  });
  return [
    ...(values === undefined || values.length === 0 ? [] : [or(values)]),
    ...(notValues === undefined || notValues.length === 0
      ? []
      : [{ [kind === "Ids" ? "notId" : "notRule"]: or(notValues) }]),
  ];
}

function idMatcher(key: string, { namespace }: Context): Matcher | null {
  if (key.startsWith("request.headers[")) return (value) => ({ header: headerMatch(key.slice(16, -1), value, false) });
  switch (key) {
    case "source.principal":
      return (value) => authenticated(textMatch(value, "spiffe://"));
    case "source.namespace":
      return (value) => authenticated(regex(`.*/ns/${value.split("*").map(quoted).join(".*")}/.*`));
    case "source.serviceAccount":
      return (value) => {
        const [ns, account] = value.includes("/") ? value.split("/") : [namespace, value];
        return authenticated(regex(`spiffe://.+/ns/${quoted(ns!)}/(.+/|)sa/${quoted(account!)}(/.+)?`));
      };
    case "source.trustDomain":
      return (value) => authenticated(domainMatch(value));
    case "source.ip":
      return (value) => ({ directRemoteIp: cidr(value) });
    case "remote.ip":
      return (value) => ({ remoteIp: cidr(value) });
    default:
      return null;
  }
}

function permissionMatcher(key: string, { port }: Context): Matcher | null {
  switch (key) {
    case "host":
      return (value) => ({ header: headerMatch(":authority", value, true) });
    case "method":
      return (value) => ({ header: headerMatch(":method", value, false) });
    case "path":
      return (value) => (/\{\*\*?\}/.test(value) ? template(value) : { urlPath: { path: textMatch(value, "") } });
    case "destination.port":
      return (value) => ({ destinationPort: port(Number(value)) });
    case "destination.ip":
      return (value) => ({ destinationIp: cidr(value) });
    case "connection.sni":
      return (value) => ({ requestedServerName: textMatch(value, "") });
    default:
      return null;
  }
}

function authenticated(principalName: Json): Json {
  return { authenticated: { principalName } };
}

function template(path: string): Json {
  const pathTemplate = path.replaceAll("{*}", "*").replaceAll("{**}", "**");
  const type = "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";
  return { uriTemplate: { name: "uri-template", typedConfig: { "@type": type, pathTemplate } } };
}

function textMatch(value: string, prefix: string): Json {
  if (value === "*") return regex(".+");
  if (value.startsWith("*"))
    return prefix === "" ? { suffix: value.slice(1) } : regex(`${prefix}.*${quoted(value.slice(1))}`);
  return value.endsWith("*") ? { prefix: prefix + value.slice(0, -1) } : { exact: prefix + value };
}

function headerMatch(name: string, value: string, ignoreCase: boolean): Json {
  if (value === "*") return { name, presentMatch: true };
  return { name, stringMatch: { ...(ignoreCase ? { ignoreCase } : {}), ...textMatch(value, "") } };
}

function domainMatch(value: string): Json {
  if (value === "*") return { prefix: "spiffe://" };
  if (!value.includes("*")) return { prefix: `spiffe://${value}/` };
  const [before, after] = value.split(/\*(.*)/s) as [string, string];
  return regex(`spiffe://${quoted(before)}[^/]*${quoted(after)}/.*`);
}

function regex(text: string): Json {
  return { safeRegex: { regex: text } };
}

/** Go's regexp.QuoteMeta. */
function quoted(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
}

function cidr(block: string): Json {
  const [address, length] = block.split("/");
  return {
    addressPrefix: address,
    prefixLen: length === undefined ? (address!.includes(":") ? 128 : 32) : Number(length),
  };
}
