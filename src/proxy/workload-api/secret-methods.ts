import { createHash } from "node:crypto";
import { DELTA_DISCOVERY_REQUEST, DELTA_DISCOVERY_RESPONSE, type NodeMessage } from "../../api/messages.ts";
import { DISCOVERY_REQUEST, DISCOVERY_RESPONSE } from "../../api/secret-messages.ts";
import { CardeaError } from "../../core/errors.ts";
import type { Latest } from "../../core/latest.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Logger } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { TrustBundles } from "../../pki/bundle.ts";
import { GRPC } from "../../wire/grpc-status.ts";
import type { ServedCall, ServedEvents, ServedMethod } from "../calls/served-calls.ts";
import type { AppIdentity } from "./app-identity.ts";
import { type Answer, pushedAnswers } from "./pushed-answers.ts";
import {
  isIdentityName,
  type NamedSecret,
  readSecret,
  SECRET_TYPE,
  type SecretMaterial,
  secretNames,
} from "./secrets.ts";
import { subscribeTo, whyNoIdentity } from "./x509-methods.ts";

interface SecretSources {
  readonly spiffeId: SpiffeId;
  readonly app: AppIdentity;
  readonly bundles: Latest<TrustBundles>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** FetchSecrets: the secrets of a request, once. envoy/service/secret/v3/sds.proto. */
export function fetchSecrets(sources: SecretSources): ServedMethod {
  const answers = pushedAnswers({
    parse(bytes) {
      const request = DISCOVERY_REQUEST.deserialize(bytes);
      const { node, resourceNames, typeUrl } = request;
      return asked(sources, { node, names: resourceNames, typeUrl });
    },
    compose(request) {
      const found = secretsOf(request.names, materialOf(sources, request.node));
      if (found === null) return notYet(sources.app);
      return { at: "message", message: stateOfTheWorld(found, "") };
    },
    subscribe: (onChange) => subscribeTo([sources.app.identity, sources.app.failure, sources.bundles], onChange),
    clock: sources.clock,
  });
  return (call) =>
    answers({
      metadata: call.metadata,
      send(message) {
        call.send(message);
        call.end({ code: GRPC.OK, message: "" });
        return true;
      },
      end: (status) => call.end(status),
      fail: (thrown) => call.fail(thrown),
    });
}

/** StreamSecrets: all secrets that were named last, now and after each change. xDS transport protocol, SotW. */
export function streamSecrets(sources: SecretSources): ServedMethod {
  return (call) => followed(call, sources, new SecretStates(sources));
}

/** DeltaSecrets: each secret for itself, now and after its change. xDS transport protocol, incremental. */
export function deltaSecrets(sources: SecretSources): ServedMethod {
  return (call) => followed(call, sources, new SecretDeltas(sources));
}

/** What a caller has asked for on a stream, and has been sent. */
interface Subscription {
  readonly names: Iterable<string>;
  /** Takes a request. Errors: `bad-input`, `bad-request`. */
  take(request: Buffer): void;
  /** What is new, or null. Errors: `bad-request`. */
  next(): Buffer | null;
}

/** Looks after each request and each change at what is new; a caller that reads slowly gets the newest alone. */
function followed(call: ServedCall, sources: SecretSources, subscription: Subscription): ServedEvents {
  const { app, bundles } = sources;
  let isBlocked = false;
  const push = (): void => {
    if (isBlocked) return;
    try {
      const message = subscription.next();
      if (message !== null) isBlocked = !call.send(message);
      else endIfRefused(call, sources, subscription.names);
    } catch (thrown) {
      call.fail(thrown);
    }
  };
  const unsubscribe = subscribeTo([app.identity, app.failure, bundles], push);
  return {
    onMessage(request) {
      subscription.take(request);
      push();
    },
    onRequestEnd: () => call.end({ code: GRPC.OK, message: "" }),
    onDrain() {
      isBlocked = false;
      push();
    },
    onOver: unsubscribe,
  };
}

/** The authority does not know the workload: the caller is told, and comes again after a while. */
function endIfRefused(call: ServedCall, sources: SecretSources, names: Iterable<string>): void {
  const answer = notYet(sources.app);
  const needsIdentity = [...names].some((name) => isIdentityName(name, sources));
  if (needsIdentity && sources.app.identity.get() === null && answer.at === "end") call.end(answer.status);
}

class SecretStates implements Subscription {
  names: readonly string[] = [];
  readonly #sources: SecretSources;
  #node: NodeMessage | null = null;
  #hasAsked = false;
  #sentVersion: string | null = null;
  #nonce = 0;

  constructor(sources: SecretSources) {
    this.#sources = sources;
  }

  take(bytes: Buffer): void {
    const { node, resourceNames, typeUrl, responseNonce, errorDetail } = DISCOVERY_REQUEST.deserialize(bytes);
    this.#node ??= node;
    if (errorDetail !== null) reportRefusal(this.#sources, errorDetail.message);
    // An answer to something older than what was sent last asks for nothing any more.
    if (responseNonce !== "" && responseNonce !== `${this.#nonce}`) return;
    const { names } = asked(this.#sources, { node, names: resourceNames, typeUrl });
    if (this.#hasAsked && isSameSet(names, this.names)) return;
    this.#hasAsked = true;
    this.#sentVersion = null;
    this.names = names;
  }

  next(): Buffer | null {
    if (!this.#hasAsked) return null;
    const found = secretsOf(this.names, materialOf(this.#sources, this.#node));
    if (found === null) return null;
    const version = versionOf(found);
    if (version === this.#sentVersion) return null;
    this.#sentVersion = version;
    this.#nonce += 1;
    return stateOfTheWorld(found, `${this.#nonce}`);
  }
}

class SecretDeltas implements Subscription {
  readonly #sources: SecretSources;
  /** By name: the version that the caller has, or null. */
  readonly #subscribed = new Map<string, string | null>();
  #node: NodeMessage | null = null;
  #nonce = 0;

  constructor(sources: SecretSources) {
    this.#sources = sources;
  }

  get names(): Iterable<string> {
    return this.#subscribed.keys();
  }

  take(bytes: Buffer): void {
    const request = DELTA_DISCOVERY_REQUEST.deserialize(bytes);
    this.#node ??= request.node;
    if (request.errorDetail !== null) reportRefusal(this.#sources, request.errorDetail.message);
    const { resourceNamesSubscribe, resourceNamesUnsubscribe, initialResourceVersions, typeUrl } = request;
    if (resourceNamesSubscribe.length > 0) {
      const { names } = asked(this.#sources, { node: this.#node, names: resourceNamesSubscribe, typeUrl });
      // A name that is subscribed to again is to be sent again.
      for (const name of names) this.#subscribed.set(name, initialResourceVersions.get(name) ?? null);
    }
    for (const name of resourceNamesUnsubscribe) this.#subscribed.delete(name);
    if (this.#subscribed.size > LIMITS.workloadApiSecretsMax) throw tooMany();
  }

  next(): Buffer | null {
    const material = materialOf(this.#sources, this.#node);
    const changed: NamedSecret[] = [];
    const removed: string[] = [];
    for (const [name, version] of this.#subscribed) {
      const reading = readSecret(name, material);
      if (reading.at === "waiting") continue;
      const current = reading.at === "secret" ? reading.secret.version : GONE;
      if (current === version) continue;
      this.#subscribed.set(name, current);
      if (reading.at === "secret") changed.push(reading.secret);
      else removed.push(name);
    }
    if (changed.length === 0 && removed.length === 0) return null;
    this.#nonce += 1;
    return DELTA_DISCOVERY_RESPONSE.serialize({
      resources: changed,
      removedResources: removed,
      typeUrl: SECRET_TYPE,
      nonce: `${this.#nonce}`,
    });
  }
}

/** The caller could not use what it was sent: it goes on with what it has. */
function reportRefusal({ logger }: SecretSources, message: string): void {
  logger.log("warn", "secrets-refused", { message: message.slice(0, 200) });
}

/** The version of a secret that there is none of, as the caller has been told. */
const GONE = "-";

interface Asked {
  readonly node: NodeMessage | null;
  readonly names: readonly string[];
  readonly typeUrl: string;
}

/** A request that makes sense; who names nothing means all. Errors: `bad-request`. */
function asked(sources: SecretSources, { node, names, typeUrl }: Asked): Asked {
  if (typeUrl !== "" && typeUrl !== SECRET_TYPE) throw new CardeaError("bad-request", `${typeUrl} is not served here`);
  if (names.length > LIMITS.workloadApiSecretsMax) throw tooMany();
  const named = [...new Set(names)].filter((name) => name !== "" && name !== "*");
  const all = named.length > 0 ? named : secretNames(materialOf(sources, node));
  if (all.some((name) => isIdentityName(name, sources))) sources.app.want();
  return { node, names: all, typeUrl };
}

/** All of them, or null while one has not come yet. Errors: `bad-request` for a name that is nobody's, as SPIRE has it. */
function secretsOf(names: readonly string[], material: SecretMaterial): readonly NamedSecret[] | null {
  const readings = names.map((name) => readSecret(name, material));
  const unknown = names.filter((_, index) => readings[index]!.at === "unknown");
  if (unknown.length > 0)
    throw new CardeaError(
      "bad-request",
      `the workload has no secret ${unknown.map((each) => JSON.stringify(each)).join(", ")}`,
    );
  const found = readings.flatMap((reading) => (reading.at === "secret" ? [reading.secret] : []));
  return found.length === names.length ? found : null;
}

function stateOfTheWorld(secrets: readonly NamedSecret[], nonce: string): Buffer {
  const resources = secrets.map(({ resource }) => resource);
  return DISCOVERY_RESPONSE.serialize({ versionInfo: versionOf(secrets), resources, typeUrl: SECRET_TYPE, nonce });
}

function versionOf(secrets: readonly NamedSecret[]): string {
  const text = secrets.map(({ name, version }) => `${name}=${version}`).join("\n");
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

function materialOf({ app, bundles, spiffeId }: SecretSources, node: NodeMessage | null): SecretMaterial {
  return { identity: app.identity.get(), bundles: bundles.get(), spiffeId, hasValidator: hasValidator(node) };
}

/** Envoy has the SPIFFE validator since 1.18. */
function hasValidator(node: NodeMessage | null): boolean {
  const version = node?.userAgentBuildVersion?.version ?? null;
  return version !== null && (version.majorNumber > 1 || (version.majorNumber === 1 && version.minorNumber >= 18));
}

function notYet(app: AppIdentity): Answer & { readonly at: "end" | "nothing-yet" } {
  const status = whyNoIdentity(app);
  return { at: status.code === GRPC.PERMISSION_DENIED ? "end" : "nothing-yet", status };
}

function tooMany(): CardeaError {
  return new CardeaError("bad-request", `there are more than ${LIMITS.workloadApiSecretsMax} names`);
}

function isSameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name) => other.includes(name));
}
