import { CardeaError } from "../../core/errors.ts";
import type { Random } from "../../core/ports.ts";
import { DEFAULT_RETRY } from "../../traffic/default-traffic.ts";
import type { HeaderChanges, HttpMatch, HttpRoute, WeightedDestination } from "../../traffic/service-traffic.ts";
import { isName } from "../../wire/headers.ts";
import type { RequestHead } from "../../wire/http1-head.ts";
import { isGrpcCall } from "../grpc.ts";
import type { LocalAnswer } from "../local-answer.ts";
import type { Route } from "../route.ts";
import type { Tries } from "../tries.ts";
import type { Backend } from "./backend.ts";
import type { Backends, PortBackends } from "./backends.ts";
import { changeHeaders, setHost } from "./change-headers.ts";
import { parseGrpcTimeout } from "./grpc-timeout.ts";
import { type Asked, matchRoute } from "./match-route.ts";
import type { Member } from "./member.ts";
import { RequestTries, type TriesParts } from "./request-tries.ts";
import { rewritePath } from "./rewrite-path.ts";
import { makeDirectAnswer, makeRedirect } from "./route-answer.ts";
import { SessionCaller } from "./session-caller.ts";

/** What the traffic rules make of a request. */
export type RoutedRequest =
  | {
      readonly at: "forward";
      readonly member: Member;
      readonly tries: Tries;
      /** Null: the request goes as it came. */
      readonly edit: RequestEdit | null;
      readonly changeAnswer: ((headers: string[]) => void) | null;
    }
  | { readonly at: "answer"; readonly local: LocalAnswer; readonly route: string };

/** Changes a request on its way out; `headers` in place, the new target is returned. */
export type RequestEdit = (headers: string[], target: string) => string;

export interface RouteRequestParts {
  readonly backends: Backends;
  readonly tries: TriesParts;
  readonly random: Random;
  /** Our own workload. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** A host that a rule names. Errors: `no-route`. */
  find(host: string, port: number, namespace: string): Route;
}

/** The request, and who sends it. */
export interface RequestToRoute {
  readonly head: RequestHead;
  readonly sourceIp: string;
}

/** Errors: `no-route`, `no-healthy-upstream`. */
export function routeRequest(route: Route, request: RequestToRoute, parts: RouteRequestParts): RoutedRequest {
  const backends = parts.backends.of(route, "HTTP");
  if (backends.traffic.routes.length > 0) {
    const { head } = request;
    const { labels, namespace } = parts;
    const asked: Asked = { head, port: route.port.port, labels, namespace };
    const matched = matchRoute(backends.traffic.routes, asked);
    if (matched !== null) return followRoute(matched.route, { ...parts, route, request, match: matched.match });
  }
  const { main } = backends;
  // The way of nearly all requests: nothing is worked out or kept for one of them.
  if (main.isPlain && !isGrpcCall(request.head))
    return { at: "forward", member: main.pick(null), tries: main.tries, edit: null, changeAnswer: null };
  return toBackend(main, null, { ...parts, request });
}

interface RouteScope extends RouteRequestParts {
  readonly route: Route;
  readonly request: RequestToRoute;
  readonly match: HttpMatch | null;
}

function followRoute(rule: HttpRoute, scope: RouteScope): RoutedRequest {
  const { action, name } = rule;
  const { head } = scope.request;
  switch (action.kind) {
    case "respond":
      return { at: "answer", local: makeDirectAnswer(action.status, action.body, head.method), route: name };
    case "redirect":
      return { at: "answer", local: makeRedirect(action.redirect, head, scope.match), route: name };
    case "forward": {
      const destination = pickDestination(action.destinations, scope.random);
      const routed = toBackend(backendOf(destination, scope), rule, scope);
      const change = (headers: string[]) => {
        routed.changeAnswer?.(headers);
        changeHeaders(headers, destination.responseHeaders);
        changeHeaders(headers, rule.responseHeaders);
      };
      const hasChange = !isEmpty(destination.responseHeaders) || !isEmpty(rule.responseHeaders);
      const edit: RequestEdit = (headers, target) => {
        changeHeaders(headers, destination.requestHeaders);
        changeHeaders(headers, rule.requestHeaders);
        routed.edit?.(headers, target);
        const { rewrite } = action;
        if (rewrite !== null && rewrite.authority !== null) setHost(headers, rewrite.authority);
        return rewrite === null || rewrite.path === null ? target : rewritePath(target, rewrite.path, scope.match);
      };
      return { ...routed, edit, changeAnswer: hasChange ? change : routed.changeAnswer };
    }
  }
}

/** By their shares of the whole. */
export function pickDestination(all: readonly WeightedDestination[], random: Random): WeightedDestination {
  if (all.length === 1) return all[0]!;
  const sum = all.reduce((total, { weight }) => total + weight, 0);
  let left = random.float() * sum;
  for (const destination of all) {
    left -= destination.weight;
    if (left < 0) return destination;
  }
  // Rounding alone comes here.
  return all.findLast(({ weight }) => weight > 0)!;
}

function backendOf({ host, namespace, port, subset }: WeightedDestination, scope: RouteScope): Backend {
  const route = scope.find(host, port ?? scope.route.port.port, namespace);
  const { protocol } = route.port;
  if (protocol !== "HTTP" && protocol !== "AUTO")
    throw new CardeaError("no-route", `port ${route.port.port} of ${route.service.fqdn} is declared ${protocol}`);
  const backends: PortBackends = scope.backends.of(route, "HTTP");
  if (subset === null) return backends.main;
  const backend = backends.subset(subset);
  if (backend === null) throw new CardeaError("no-route", `${route.service.fqdn} has no subset ${subset}`);
  return backend;
}

function toBackend(
  backend: Backend,
  rule: HttpRoute | null,
  { request, random, tries }: Pick<RouteScope, "request" | "random" | "tries">,
): RoutedRequest & { readonly at: "forward" } {
  const { head } = request;
  const caller = backend.looksAtCaller ? new SessionCaller(head, request.sourceIp, random) : null;
  const member = backend.pick(caller);
  const setCookie = caller?.setCookie ?? null;
  const isGrpc = isGrpcCall(head);
  const deadlineMs = isGrpc ? grpcDeadlineMs(head) : null;
  const changeAnswer = setCookie === null ? null : (headers: string[]) => void headers.push("set-cookie", setCookie);
  if (rule === null && deadlineMs === null && !backend.isWatching)
    return { at: "forward", member, tries: backend.tries, edit: null, changeAnswer };
  const plan = {
    backend,
    head,
    retry: rule?.retry ?? DEFAULT_RETRY,
    route: rule?.name ?? null,
    timeoutMs: rule?.timeoutMs ?? 0,
    isGrpc,
    deadlineMs,
  };
  const ofRequest = new RequestTries(plan, tries);
  const edit = (headers: string[], target: string) => {
    ofRequest.passDeadline(headers);
    return target;
  };
  return { at: "forward", member, tries: ofRequest, edit: isGrpc ? edit : null, changeAnswer };
}

function grpcDeadlineMs({ headers }: RequestHead): number | null {
  for (let i = 0; i < headers.length; i += 2) {
    if (isName(headers[i]!, "grpc-timeout")) return parseGrpcTimeout(headers[i + 1]!);
  }
  return null;
}

function isEmpty({ set, add, remove }: HeaderChanges): boolean {
  return set.length + add.length + remove.length === 0;
}
