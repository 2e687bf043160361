import type { DeltaDiscoveryRequest__Output } from "../../api/generated/envoy/service/discovery/v3/DeltaDiscoveryRequest.ts";
import type { DeltaDiscoveryResponse } from "../../api/generated/envoy/service/discovery/v3/DeltaDiscoveryResponse.ts";
import { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Names, Resource, TypeView } from "./resource.ts";

/** What a client made of a response. */
export interface Answer {
  /** `TypeView.version` of the response that it answers. */
  readonly version: string;
  /** Null: acknowledged. Otherwise why the client refused it. */
  readonly error: string | null;
}

/** One type on one stream: what the client asked for, what it has, and the one response it has yet to answer. */
export interface Subscription {
  /** Takes a request in. The answer that it holds, or null. Errors: `overloaded` when it asks for too many names. */
  receive(request: DeltaDiscoveryRequest__Output): Answer | null;
  /**
   * The next response that brings the client nearer to `view`, or null: it is up to date, or has an answer to give
   * first. So nothing queues for a slow client, and what it gets when it is ready is the newest. Errors: `overloaded`
   * when more has changed than is remembered.
   */
  next(view: TypeView): DeltaDiscoveryResponse | null;
  readonly isAwaitingAnswer: boolean;
  /** Whether the client refused something that has neither changed nor gone since. */
  readonly hasRefused: boolean;
}

interface Outstanding {
  readonly nonce: string;
  readonly version: string;
  readonly sent: readonly Resource[];
}

const WILDCARD = "*";
/** In place of a version: the client has been told that there is no such resource. */
const ABSENT = "";
/** In place of a version: the client refused the last one; what it has instead is its own affair. */
const REFUSED = "-";

/** The state machine of one type URL on one delta stream (xDS transport protocol, "Incremental xDS"). */
export function createSubscription(typeUrl: string): Subscription {
  let isFirst = true;
  let isWildcard = false;
  let owesResponse = false;
  let sentCount = 0;
  let outstanding: Outstanding | null = null;
  const names = new Set<string>();
  /** Name → version that the client has. While it is in step with a view, what it has otherwise than that view alone. */
  const known = new Map<string, string>();
  const refused = new Map<string, string>();
  /** To be sent whatever the client has. */
  const again = new Set<string>();
  /** The view that everything was last compared with; what changed since is all that can differ. Null: none. */
  let compared: TypeView | null = null;
  /**
   * The client has all of `compared`, and is to have all of what follows: then nothing is kept for it name by name. A
   * thousand resources would cost each stream a hundred kilobytes.
   */
  let isInStep = false;

  function begin(request: DeltaDiscoveryRequest__Output): void {
    isFirst = false;
    // A client waits for the first response of each type, even if there is nothing to tell.
    owesResponse = true;
    for (const [name, version] of Object.entries(request.initialResourceVersions)) known.set(name, version);
    // Legacy form of the wildcard: a first request that names nothing.
    if (request.resourceNamesSubscribe.length === 0) isWildcard = true;
  }

  function subscribe(added: readonly string[]): void {
    if (added.length > 0 && !isInStep) compared = null;
    for (const name of added) {
      if (name === WILDCARD) isWildcard = true;
      else {
        names.add(name);
        // To be sent again even if nothing has changed: the client may have dropped it in between.
        known.delete(name);
        if (isInStep) again.add(name);
      }
    }
    if (names.size > LIMITS.discoveryNamesMax)
      throw new CardeaError("overloaded", `more than ${LIMITS.discoveryNamesMax} resource names on one stream`);
  }

  function unsubscribe(removed: readonly string[]): void {
    for (const name of removed) {
      if (name === WILDCARD) isWildcard = false;
      else names.delete(name);
    }
    if (isWildcard || removed.length === 0) return;
    // What is still asked for by name is told once more: the client has it, but we do not know it name by name.
    isInStep = false;
    again.clear();
    compared = null;
    for (const name of known.keys()) if (!names.has(name)) forget(name);
  }

  function forget(name: string): void {
    known.delete(name);
    refused.delete(name);
  }

  function takeAnswer(request: DeltaDiscoveryRequest__Output): Answer | null {
    // An answer to anything but the newest response says nothing about what the client has now.
    if (outstanding === null || request.responseNonce !== outstanding.nonce) return null;
    const answered = outstanding;
    outstanding = null;
    if (request.errorDetail === null) return { version: answered.version, error: null };
    if (!isInStep) compared = null;
    for (const resource of answered.sent) {
      known.set(resource.name, REFUSED);
      refused.set(resource.name, resource.version);
    }
    return { version: answered.version, error: request.errorDetail.message || "no reason was given" };
  }

  /**
   * A refusal is of a response whole, and does not tell which of its resources was at fault. So nothing of it is sent
   * again as it was, and all of it once any part has changed.
   */
  function forgiveChanged(view: TypeView): void {
    const hasChanged = [...refused].some(([name, version]) => view.resources.get(name)?.version !== version);
    if (!hasChanged) return;
    if (isInStep) for (const name of refused.keys()) again.add(name);
    else compared = null;
    refused.clear();
  }

  /** `isWhole`: nothing that differs was left for later. */
  function changesTowards(wanted: Iterable<Resource>): { readonly changed: Resource[]; readonly isWhole: boolean } {
    const changed: Resource[] = [];
    let bytes = 0;
    for (const resource of wanted) {
      if (known.get(resource.name) === resource.version || refused.get(resource.name) === resource.version) continue;
      // The rest goes out with the next response, after this one was answered.
      if (changed.length > 0 && bytes + resource.body.value.length > LIMITS.discoveryResponseBytesMax)
        return { changed, isWhole: false };
      bytes += resource.body.value.length;
      changed.push(resource);
    }
    return { changed, isWhole: true };
  }

  function wantedOf(view: TypeView): Iterable<Resource> {
    if (isWildcard) return view.resources.values();
    return [...names].flatMap((name) => view.resources.get(name) ?? []);
  }

  /** As `wantedOf`, of these names alone: what one endpoint's change costs must not grow with the registry. */
  function wantedAmong(among: ReadonlySet<string>, view: TypeView): Resource[] {
    const found: Resource[] = [];
    for (const name of among) {
      const resource = isWildcard || names.has(name) ? view.resources.get(name) : undefined;
      if (resource !== undefined) found.push(resource);
    }
    return found;
  }

  function removalsAmong(among: ReadonlySet<string>, view: TypeView): string[] {
    const unknown = isInStep ? REFUSED : ABSENT;
    return [...among].filter((name) => (known.get(name) ?? unknown) !== ABSENT && !view.resources.has(name));
  }

  /** What can differ from what the client has. Null: anything. Errors: `overloaded`. */
  function recentIn(view: TypeView): ReadonlySet<string> | null {
    const changed = compared === null ? null : (view.changedSince?.(compared) ?? null);
    if (changed !== null) return again.size === 0 ? setOf(changed) : new Set([...changed.keys(), ...again]);
    // What it had is not kept; it says so itself when it begins anew.
    if (isInStep) throw new CardeaError("overloaded", "too much has changed since the last answer: begin anew");
    return null;
  }

  function noteCompared(view: TypeView): void {
    compared = view;
    if (isWildcard && refused.size === 0 && view.changedSince !== undefined) isInStep = true;
    if (!isInStep) return;
    // A refusal is kept by name until its resource changes.
    known.clear();
    again.clear();
  }

  function removalsTowards(view: TypeView): string[] {
    const gone = [...known].filter(([name, version]) => version !== ABSENT && !view.resources.has(name));
    const neverThere = [...names].filter((name) => !known.has(name) && !view.resources.has(name));
    return [...gone.map(([name]) => name), ...neverThere];
  }

  function note(sent: readonly Resource[], removed: readonly string[]): void {
    for (const resource of sent) known.set(resource.name, resource.version);
    for (const name of removed) {
      if (names.has(name) || isInStep) known.set(name, ABSENT);
      else known.delete(name);
    }
  }

  return {
    receive(request) {
      if (isFirst) begin(request);
      subscribe(request.resourceNamesSubscribe);
      unsubscribe(request.resourceNamesUnsubscribe);
      return takeAnswer(request);
    },
    next(view) {
      if (isFirst || outstanding !== null) return null;
      forgiveChanged(view);
      const recent = recentIn(view);
      const { changed: resources, isWhole } = changesTowards(
        recent === null ? wantedOf(view) : wantedAmong(recent, view),
      );
      const removedResources = recent === null ? removalsTowards(view) : removalsAmong(recent, view);
      note(resources, removedResources);
      if (isWhole) noteCompared(view);
      if (resources.length === 0 && removedResources.length === 0 && !owesResponse) return null;
      owesResponse = false;
      sentCount += 1;
      const nonce = String(sentCount);
      outstanding = { nonce, version: view.version, sent: resources };
      return { typeUrl, nonce, systemVersionInfo: view.version, resources: resources.map(toMessage), removedResources };
    },
    get isAwaitingAnswer() {
      return outstanding !== null;
    },
    get hasRefused() {
      return refused.size > 0;
    },
  };
}

function setOf(names: Names): ReadonlySet<string> {
  return names instanceof Set ? names : new Set(names.keys());
}

function toMessage(resource: Resource): NonNullable<DeltaDiscoveryResponse["resources"]>[number] {
  return { name: resource.name, version: resource.version, resource: resource.body };
}
