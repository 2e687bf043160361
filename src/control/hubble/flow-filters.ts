import type { HubbleFilter, HubbleFlow } from "../../api/hubble-messages.ts";
import { cidrHolds, parseCidr, parseIp } from "../../core/cidr.ts";
import { CardeaError } from "../../core/errors.ts";
import { EVENT_TYPES } from "./flow-message.ts";
import { httpMethods, httpPaths, httpStatusCodes, httpUrls } from "./http-filters.ts";
import { parseLabelSelector } from "./label-selector.ts";
import { domainPattern, nodePattern } from "./text-patterns.ts";

export type TakesFlow = (flow: HubbleFlow) => boolean;

type Builders = { readonly [Name in keyof HubbleFilter]: (values: HubbleFilter[Name]) => TakesFlow };

/** What each field of Hubble's FlowFilter asks for (cilium/cilium pkg/hubble/filters). They throw an Error for a bad value. */
const BUILDERS: Builders = {
  uuid: (ids) => (flow) => ids.includes(flow.uuid ?? ""),
  sourceIp: (ips) => addresses(ips, (flow) => flow.IP?.source),
  destinationIp: (ips) => addresses(ips, (flow) => flow.IP?.destination),
  sourcePod: (names) => namespacedNames(names, ({ source }) => [source?.namespace, source?.podName]),
  destinationPod: (names) => namespacedNames(names, ({ destination: to }) => [to?.namespace, to?.podName]),
  sourceService: (names) => namespacedNames(names, ({ sourceService: of }) => [of?.namespace, of?.name]),
  destinationService: (names) => namespacedNames(names, ({ destinationService: of }) => [of?.namespace, of?.name]),
  sourceFqdn: (names) => domains(names, (flow) => flow.sourceNames),
  destinationFqdn: (names) => domains(names, (flow) => flow.destinationNames),
  sourceLabel: (selectors) => labelled(selectors, (flow) => flow.source?.labels),
  destinationLabel: (selectors) => labelled(selectors, (flow) => flow.destination?.labels),
  sourceWorkload: (wanted) => workloads(wanted, (flow) => flow.source?.workloads),
  destinationWorkload: (wanted) => workloads(wanted, (flow) => flow.destination?.workloads),
  sourceClusterName: (names) => clusters(names, (flow) => flow.source?.clusterName),
  destinationClusterName: (names) => clusters(names, (flow) => flow.destination?.clusterName),
  sourceIdentity: (ids) => (flow) => ids.includes(flow.source?.identity ?? 0),
  destinationIdentity: (ids) => (flow) => ids.includes(flow.destination?.identity ?? 0),
  sourcePort: (ports) => portNumbers(ports, (flow) => flow.l4?.TCP?.sourcePort),
  destinationPort: (ports) => portNumbers(ports, (flow) => flow.l4?.TCP?.destinationPort),
  verdict: (verdicts) => (flow) => verdicts.includes(flow.verdict ?? "VERDICT_UNKNOWN"),
  dropReasonDesc: (reasons) => (flow) =>
    flow.verdict === "DROPPED" && reasons.includes(flow.dropReasonDesc ?? "DROP_REASON_UNKNOWN"),
  eventType: (types) => (flow) =>
    types.some(
      ({ type, matchSubType, subType }) =>
        (type === 0 || type === flow.eventType?.type) && (!matchSubType || subType === (flow.eventType?.subType ?? 0)),
    ),
  trafficDirection: (directions) => (flow) => directions.includes(flow.trafficDirection ?? 0),
  reply: (wanted) => (flow) => wanted.includes(flow.isReply?.value ?? false),
  encrypted: (wanted) => (flow) => wanted.includes(flow.IP?.encrypted ?? false),
  ipVersion: (versions) => (flow) => versions.includes(flow.IP?.ipVersion ?? "IP_NOT_USED"),
  protocol: protocols,
  nodeName: (patterns) => {
    const taking = patterns.map(nodePattern);
    return (flow) => taking.some((takes) => takes(flow.nodeName ?? ""));
  },
  traceId: (ids) => (flow) => ids.includes(flow.traceContext?.parent?.traceId ?? ""),
  httpStatusCode: httpStatusCodes,
  httpMethod: httpMethods,
  httpPath: httpPaths,
  httpUrl: httpUrls,
};

/**
 * Whether a flow is one that was asked for: one of the whitelist's filters takes it (or there are none), and none of the
 * blacklist's. Errors: `bad-input` for a value that no filter takes.
 */
export function compileFilters(whitelist: readonly HubbleFilter[], blacklist: readonly HubbleFilter[]): TakesFlow {
  const wanted = whitelist.map(compileFilter);
  const unwanted = blacklist.map(compileFilter);
  return (flow) =>
    (wanted.length === 0 || wanted.some((takes) => takes(flow))) && !unwanted.some((takes) => takes(flow));
}

/** All fields of a filter must hold, and of a field's values one. */
function compileFilter(filter: HubbleFilter): TakesFlow {
  assertHttpIsAskedFor(filter);
  const names = Object.keys(BUILDERS) as (keyof HubbleFilter)[];
  const taking = names.filter((name) => filter[name].length > 0).map((name) => compileField(filter, name));
  return (flow) => taking.every((takes) => takes(flow));
}

function compileField(filter: HubbleFilter, name: keyof HubbleFilter): TakesFlow {
  try {
    // The table's type has each builder beside its own field's values.
    const build = BUILDERS[name] as (values: HubbleFilter[typeof name]) => TakesFlow;
    return build(filter[name]);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CardeaError("bad-input", `the filter's ${protoName(name)}: ${why}`, error);
  }
}

const HTTP_FIELDS = ["httpStatusCode", "httpMethod", "httpPath", "httpUrl"] as const;

function assertHttpIsAskedFor(filter: HubbleFilter): void {
  const { eventType } = filter;
  const field = HTTP_FIELDS.find((name) => filter[name].length > 0);
  if (field === undefined || eventType.length === 0 || eventType.some(({ type }) => type === EVENT_TYPES.accessLog))
    return;
  throw new CardeaError(
    "bad-input",
    `the filter's ${protoName(field)} is about l7 events, which its event_type leaves out`,
  );
}

function protoName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function addresses(wanted: readonly string[], of: (flow: HubbleFlow) => string | undefined): TakesFlow {
  const ranges = wanted.map(parseCidr);
  return (flow) => {
    const address = parseIp(of(flow) ?? "");
    return ranges.some((range) => cidrHolds(range, address));
  };
}

type NamespacedName = readonly [namespace: string | undefined, name: string | undefined];

/** `prefix` (of the namespace "default"), `namespace/prefix`, `namespace/`, or `/prefix` of any namespace. */
function namespacedNames(wanted: readonly string[], of: (flow: HubbleFlow) => NamespacedName): TakesFlow {
  const parsed = wanted.map((text) => {
    if (text === "") throw new Error("a name must not be empty");
    const [first = "", second] = text.split("/");
    return second === undefined ? { namespace: "default", prefix: first } : { namespace: first, prefix: second };
  });
  return (flow) => {
    const [itsNamespace = "", itsName = ""] = of(flow);
    if (itsNamespace === "" && itsName === "") return false;
    return parsed.some(
      ({ namespace, prefix }) => itsName.startsWith(prefix) && (namespace === "" || namespace === itsNamespace),
    );
  };
}

function domains(wanted: readonly string[], of: (flow: HubbleFlow) => readonly string[] | undefined): TakesFlow {
  const taking = wanted.map(domainPattern);
  return (flow) => (of(flow) ?? []).some((name) => taking.some((takes) => takes(name)));
}

function labelled(wanted: readonly string[], of: (flow: HubbleFlow) => readonly string[] | undefined): TakesFlow {
  const taking = wanted.map(parseLabelSelector);
  return (flow) => taking.some((takes) => takes(of(flow) ?? []));
}

type Workloads = HubbleFilter["sourceWorkload"];

function workloads(
  wanted: Workloads,
  of: (flow: HubbleFlow) => readonly Partial<Workloads[number]>[] | undefined,
): TakesFlow {
  return (flow) =>
    (of(flow) ?? []).some((its) =>
      wanted.some(({ name, kind }) => (name === "" || name === its.name) && (kind === "" || kind === (its.kind ?? ""))),
    );
}

function clusters(wanted: readonly string[], of: (flow: HubbleFlow) => string | undefined): TakesFlow {
  if (wanted.includes("")) throw new Error("a name must not be empty");
  return (flow) => wanted.includes(of(flow) ?? "");
}

function portNumbers(wanted: readonly string[], of: (flow: HubbleFlow) => number | undefined): TakesFlow {
  const ports = wanted.map((text) => {
    if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new Error(`${JSON.stringify(text)} is no port`);
    return Number(text);
  });
  return (flow) => ports.includes(of(flow) ?? -1);
}

/** Others than these are none that a mesh carries, and nothing is found of them. */
const OTHER_PROTOCOLS = ["icmp", "icmpv4", "icmpv6", "udp", "sctp", "vrrp", "igmp", "dns"];

function protocols(wanted: readonly string[]): TakesFlow {
  const names = wanted.map((name) => name.toLowerCase());
  const unknown = names.find((name) => name !== "tcp" && name !== "http" && !OTHER_PROTOCOLS.includes(name));
  if (unknown !== undefined) throw new Error(`${JSON.stringify(unknown)} is no protocol that is known`);
  return (flow) => (names.includes("tcp") && flow.l4?.TCP != null) || (names.includes("http") && flow.l7?.http != null);
}
