import type { FlowRecord } from "../../observe/flow.ts";
import { type EdgeKey, edgeKeyOf, type Outcome } from "./flow-parts.ts";
import type { EdgeEnd, FlowFilter, ReadableNamespaces } from "./query.ts";

/** Whether a filter takes an edge, and its reader may see it. */
export function linkMatcher(filter: FlowFilter, namespaces: ReadableNamespaces): (edge: EdgeKey) => boolean {
  const { reporter, protocol, names, sourceNames, destinationNames, inNamespaces, source, destination } = filter;
  return (edge) => {
    const [itsReporter, itsProtocol, , , port, ...ends] = edge;
    const from = endOf(ends.slice(0, 4));
    const to = endOf(ends.slice(4));
    return (
      mayRead(namespaces, from, to) &&
      (reporter === undefined || reporter === itsReporter) &&
      (protocol === undefined || protocol === itsProtocol) &&
      isOneOf(names, (name) => isNamed(from, name) || isNamed(to, name)) &&
      isOneOf(sourceNames, (name) => isNamed(from, name)) &&
      isOneOf(destinationNames, (name) => isNamed(to, name)) &&
      isOneOf(inNamespaces, (namespace) => from.namespace === namespace || to.namespace === namespace) &&
      (source === undefined || isLike(from, source)) &&
      (destination === undefined || (isLike(to, destination) && (destination.port ?? port) === port))
    );
  };
}

/** Nothing that is asked for restricts nothing. */
function isOneOf(wanted: readonly string[] | undefined, isIt: (word: string) => boolean): boolean {
  return wanted === undefined || wanted.length === 0 || wanted.some(isIt);
}

/** One side in a namespace of the reader's is enough: the owner of a service may see who calls it. */
export function mayRead(
  namespaces: ReadableNamespaces,
  source: Pick<EdgeEnd, "namespace">,
  destination: Pick<EdgeEnd, "namespace">,
): boolean {
  if (namespaces === "all") return true;
  return [source, destination].some(({ namespace }) => namespace !== null && namespaces.has(namespace));
}

export function outcomeMatcher(filter: FlowFilter): (outcome: Outcome) => boolean {
  const { verdicts, method, statusFrom, statusTo, dryRun, isAudited } = filter;
  return (outcome) =>
    (verdicts === undefined || verdicts.length === 0 || verdicts.includes(outcome.verdict)) &&
    (method === undefined || method === outcome.method) &&
    (statusFrom === undefined || (outcome.status !== null && outcome.status >= statusFrom)) &&
    (statusTo === undefined || (outcome.status !== null && outcome.status <= statusTo)) &&
    (dryRun === undefined || (dryRun === "any" ? outcome.dryRun !== null : outcome.dryRun === dryRun)) &&
    (isAudited !== true || outcome.auditedBy !== null);
}

/** The same of a whole record. */
export function flowMatcher(filter: FlowFilter, namespaces: ReadableNamespaces): (flow: FlowRecord) => boolean {
  const takesLink = linkMatcher(filter, namespaces);
  const takesOutcome = outcomeMatcher(filter);
  const { fromMs, toMs, pathPrefix, traceId } = filter;
  return (flow) =>
    (fromMs === undefined || flow.timeMs >= fromMs) &&
    (toMs === undefined || flow.timeMs < toMs) &&
    (pathPrefix === undefined || flow.path?.startsWith(pathPrefix) === true) &&
    (traceId === undefined || flow.traceId === traceId) &&
    takesOutcome(flow) &&
    takesLink(edgeKeyOf(flow));
}

function endOf([namespace, workload, service, principal]: readonly (string | number | null)[]): EdgeEnd {
  return { namespace, workload, service, principal } as EdgeEnd;
}

function isLike(end: EdgeEnd, wanted: Partial<EdgeEnd>): boolean {
  return (["namespace", "workload", "service", "principal"] as const).every(
    (name) => wanted[name] === undefined || wanted[name] === end[name],
  );
}

/** `payments`, `payments.shop`, `shop/payments`, the service's full host name or a whole SPIFFE ID. */
function isNamed({ namespace, workload, service, principal }: EdgeEnd, name: string): boolean {
  if (name === workload || name === principal || name === service) return true;
  if (workload !== null && (name === `${workload}.${namespace}` || name === `${namespace}/${workload}`)) return true;
  return service !== null && service.startsWith(`${name}.`);
}
