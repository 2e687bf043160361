import type { DeltaDiscoveryResponse } from "../../api/messages.ts";
import { POLICY_SET_NAME, POLICY_SET_TYPE, POLICY_TYPE } from "../../api/resource-types.ts";
import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { createLatest, type Latest } from "../../core/latest.ts";
import type { Clock, Logger } from "../../core/ports.ts";
import type { AccessLog } from "../../policy/access-log.ts";
import type { MutualTls, PortMutualTls } from "../../policy/authentication/mutual-tls.ts";
import { type CompiledPolicy, compileSliced } from "../../policy/compile.ts";
import type { AuthenticationKind } from "../../policy/authentication/kinds.ts";
import type { AuthenticationDocument } from "../../policy/authentication/document.ts";
import type { AuthorizationPolicy } from "../../policy/document.ts";
import type { TracingChoice } from "../../policy/tracing-choice.ts";
import type { Workload } from "../../policy/facts.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import { selectPolicies } from "../../policy/select.ts";
import type { CompiledTraffic } from "../../traffic/compile.ts";
import type { TrafficKind } from "../../traffic/kinds.ts";
import { NO_TRAFFIC, type TrafficSet } from "../../traffic/traffic-set.ts";
import type { AdmissionStep, AdmissionSteps } from "../admission-steps.ts";
import type { TimedGrants } from "./timed-grants.ts";
import type { Authenticating } from "./wire-keys.ts";
import type { InstantSink, ResourceSink } from "./resource-sink.ts";
import {
  readWirePolicy,
  readWirePolicySet,
  type WireUnread,
  type WirePolicy,
  type WirePolicySet,
} from "./wire-policy.ts";

/** A policy revision in force at this sidecar. Never changed; a new revision is a new object. */
export interface PolicySet {
  readonly revision: string;
  readonly settings: MeshSettings;
  readonly compiled: CompiledPolicy;
  readonly documents: readonly AuthorizationPolicy[];
  /** What is asked before a request is decided; null, as it mostly is: nothing. */
  readonly steps: AdmissionSteps | null;
  /** Those that select this workload, by namespace and name. */
  readonly authentication: readonly AuthenticationDocument[];
  /** Which ports take what; null: mutual TLS alone, on all of them. */
  readonly mutualTls: MutualTls | null;
  /** Whether what is let through is recorded; null: all of it. */
  readonly accessLog: AccessLog | null;
  /** What documents say of traces; null, or left out: nothing. */
  readonly tracing?: TracingChoice | null;
}

/** What a port takes under a set, or before the first. */
export function peerModeAt(set: PolicySet | null, port: number): PortMutualTls {
  return set?.mutualTls?.ports.get(port) ?? set?.mutualTls ?? STRICT;
}

const STRICT: PortMutualTls = Object.freeze({ mode: "STRICT", by: null });

export interface PolicySinks {
  /** Null: no set has been put in force yet, so nothing may be let through. */
  readonly inForce: Latest<PolicySet | null>;
  /** The traffic rules of the set in force; changes in the same turn as `inForce`. */
  readonly traffic: Latest<TrafficSet>;
  readonly policies: InstantSink;
  readonly policySet: ResourceSink;
}

interface PolicySinksOptions {
  /** For which the set is compiled. */
  readonly workload: Workload;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A set that has arrived before all of its policies. */
interface WaitingSet {
  readonly set: WirePolicySet;
  readonly settle: (error: string | null) => void;
}

/**
 * Holds policies and traffic rules as they come, and swaps to a set when every document of it is held by its hash and
 * all are compiled.
 * Whatever goes wrong on the way, the set before stays in force.
 */
export function createPolicySinks(options: PolicySinksOptions): PolicySinks {
  const { workload, clock, logger } = options;
  const inForce = createLatest<PolicySet | null>(null);
  const traffic = createLatest(NO_TRAFFIC);
  const held = new Map<string, WirePolicy>();
  let versionInForce: string | null = null;
  let waiting: WaitingSet | null = null;
  let newest: WirePolicySet | null = null;
  let compiledTraffic: CompiledTraffic | null = null;
  let authenticating: Authenticating | null = null;
  let grants: TimedGrants | null = null;
  /** Of two that were begun, the older must not be the last word. */
  let recompiling: readonly AuthorizationPolicy[] | null = null;

  function applyPolicies(response: DeltaDiscoveryResponse): string | null {
    try {
      // First all are read, then all are held: a response counts whole or not at all.
      const policies = response.resources.map((resource) => readWirePolicy(resource));
      for (const name of response.removedResources) held.delete(name);
      for (const policy of policies) held.set(policy.name, policy);
    } catch (thrown) {
      return toCardeaError(thrown).message;
    }
    begin();
    return null;
  }

  function applyPolicySet(response: DeltaDiscoveryResponse): Promise<string | null> | string | null {
    const resource = response.resources.find(({ name }) => name === POLICY_SET_NAME);
    // Without a set there is nothing new to put in force; one that is taken back leaves the last good one.
    if (resource === undefined) return null;
    try {
      const set = readWirePolicySet(resource);
      assertInScope(set, workload);
      const { promise, resolve } = Promise.withResolvers<string | null>();
      waiting?.settle(`superseded by revision ${set.revision}`);
      waiting = { set, settle: resolve };
      begin();
      return promise;
    } catch (thrown) {
      return toCardeaError(thrown).message;
    }
  }

  function begin(): void {
    if (waiting === null) return;
    const documents = documentsOf(waiting.set, held);
    if (documents === null) return;
    const ready = waiting;
    waiting = null;
    void putInForce(ready.set, documents).then(ready.settle);
  }

  /** Both are compiled before either is put in force: a revision holds whole or not at all. */
  async function putInForce(set: WirePolicySet, documents: SetDocuments): Promise<string | null> {
    newest = set;
    const { revision, version } = set;
    try {
      const timed = await readTimes(documents.policies, options);
      const settings = await settingsOf(set);
      const compiled = await compileSliced(
        timed?.policies() ?? documents.policies,
        workload,
        settings,
        clock,
        inForce.get()?.compiled ?? null,
      );
      const { rootNamespace } = settings;
      const authentication = selectPolicies(await readAll(documents.authentication), workload, rootNamespace);
      const mutualTls = await mutualTlsOf(authentication, workload, rootNamespace);
      const accessLog = await accessLogOf(authentication, workload, rootNamespace);
      const tracing = await tracingOf(authentication, workload, rootNamespace);
      const checking = await authenticatingOf(authentication, documents.keys, { clock, before: authenticating });
      const steps = await stepsOf(documents.policies, { workload, settings, clock }, checking?.step ?? null);
      const nextTraffic = await compileTraffic(documents.traffic, set);
      // Of two that were compiled at a time, the older must not be the last word.
      if (newest !== set) return `superseded by revision ${newest.revision}`;
      versionInForce = version;
      compiledTraffic = nextTraffic;
      authenticating = checking;
      traffic.set(nextTraffic?.set ?? { ...NO_TRAFFIC, revision });
      inForce.set({
        revision,
        settings,
        compiled,
        documents: documents.policies,
        authentication,
        steps,
        mutualTls,
        accessLog,
        tracing,
      });
      grants?.stop();
      grants = timed;
      timed?.follow((policies) => void recompile(policies, timed));
      const counts = { policies: documents.policies.length, trafficRules: documents.traffic.length };
      logger.log("info", "policies-in-force", { revision, ...counts });
      return null;
    } catch (thrown) {
      const error = toCardeaError(thrown).message;
      logger.log("error", "policies-not-compiled", { revision, error });
      return `revision ${revision} cannot be compiled: ${error}`;
    }
  }

  /** A grant has begun or ended. What cannot be compiled must not leave one in force that has ended. */
  async function recompile(policies: readonly AuthorizationPolicy[], timed: TimedGrants): Promise<void> {
    const before = inForce.get();
    if (before === null) return;
    recompiling = policies;
    try {
      const compiled = await compileSliced(policies, workload, before.settings, clock, before.compiled);
      if (grants !== timed || recompiling !== policies) return;
      inForce.set({ ...before, compiled });
      logger.log("info", "grants-changed", { revision: before.revision });
    } catch (thrown) {
      if (grants !== timed) return;
      inForce.set(null);
      logger.log("error", "policies-not-compiled", { revision: before.revision, error: toCardeaError(thrown).message });
    }
  }

  /** What reads and compiles them is loaded with the first of them. Null: there are none. Errors: `bad-input`. */
  async function compileTraffic(
    rules: readonly WireUnread<TrafficKind>[],
    { revision, settings }: WirePolicySet,
  ): Promise<CompiledTraffic | null> {
    if (rules.length === 0) return null;
    const { compileWireTraffic } = await import("./wire-traffic.ts");
    const { rootNamespace } = settings;
    return compileWireTraffic(rules, { revision, client: workload, rootNamespace, previous: compiledTraffic }, clock);
  }

  return {
    inForce,
    traffic,
    policies: {
      typeUrl: POLICY_TYPE,
      held: () => new Map([...held].map(([name, { version }]) => [name, version])),
      apply: applyPolicies,
    },
    policySet: {
      typeUrl: POLICY_SET_TYPE,
      held: () => new Map(versionInForce === null ? [] : [[POLICY_SET_NAME, versionInForce]]),
      apply: applyPolicySet,
    },
  };
}

/** What only a mesh with extension providers needs is loaded with the first of them. */
async function settingsOf({ settings, providers }: WirePolicySet): Promise<MeshSettings> {
  if (providers.length === 0) return settings;
  const { readProviders } = await import("../ext-authz/open-custom.ts");
  return { ...settings, extensionProviders: readProviders(providers) };
}

interface StepWorld {
  readonly workload: Workload;
  readonly settings: MeshSettings;
  readonly clock: Clock;
}

/** What is asked before a request is decided, in Istio's order: who the user is, and then whoever else has a say. */
async function stepsOf(
  policies: readonly AuthorizationPolicy[],
  world: StepWorld,
  checking: AdmissionStep | null,
): Promise<AdmissionSteps | null> {
  const steps = checking === null ? [] : [checking];
  if (policies.some((policy) => policy.action === "CUSTOM")) {
    const { openCustomStep } = await import("../ext-authz/open-custom.ts");
    const step = await openCustomStep(policies, world);
    if (step !== null) steps.push(step);
  }
  if (steps.length === 0) return null;
  const { AdmissionSteps: Steps } = await import("../admission-steps.ts");
  return new Steps(steps);
}

interface SetDocuments {
  readonly policies: readonly AuthorizationPolicy[];
  readonly authentication: readonly WireUnread<AuthenticationKind>[];
  /** Of the issuers of tokens, as far as they are not in the documents. */
  readonly keys: readonly WireUnread<"KeySet">[];
  readonly traffic: readonly WireUnread<TrafficKind>[];
}

/** What follows the clock is loaded with the first grant that begins or ends. Null: there is none. */
async function readTimes(
  policies: readonly AuthorizationPolicy[],
  options: PolicySinksOptions,
): Promise<TimedGrants | null> {
  if (policies.every(({ terms }) => terms === null)) return null;
  return (await import("./timed-grants.ts")).createTimedGrants(policies, options);
}

/** What checks tokens is loaded with the first rule for any. Null: nothing is asked. Errors: `bad-input`. */
async function authenticatingOf(
  authentication: readonly AuthenticationDocument[],
  keys: readonly WireUnread<"KeySet">[],
  options: { readonly clock: Clock; readonly before: Authenticating | null },
): Promise<Authenticating | null> {
  if (!authentication.some(({ kind }) => kind === "RequestAuthentication")) return null;
  return (await import("./wire-keys.ts")).authenticatingStep(authentication, keys, options);
}

/** What reads them is loaded with the first of them. Errors: `bad-input`. */
async function readAll(held: readonly WireUnread<AuthenticationKind>[]): Promise<readonly AuthenticationDocument[]> {
  if (held.length === 0) return [];
  const { readWireAuthentication } = await import("./wire-authentication.ts");
  return held.map(readWireAuthentication);
}

/** What resolves them is loaded with the first of them; most meshes have none. */
async function mutualTlsOf(
  authentication: readonly AuthenticationDocument[],
  workload: Workload,
  rootNamespace: string,
): Promise<MutualTls | null> {
  if (!authentication.some(({ kind }) => kind === "PeerAuthentication")) return null;
  const { peerAuthenticationsOf, resolveMutualTls } = await import("../../policy/authentication/resolve-peer.ts");
  return resolveMutualTls(peerAuthenticationsOf(authentication), workload, rootNamespace);
}

/** Likewise. */
async function accessLogOf(
  authentication: readonly AuthenticationDocument[],
  workload: Workload,
  rootNamespace: string,
): Promise<AccessLog | null> {
  if (!authentication.some(({ kind }) => kind === "Telemetry")) return null;
  const { resolveAccessLog, telemetriesOf } = await import("../../policy/access-log.ts");
  return resolveAccessLog(telemetriesOf(authentication), workload, rootNamespace);
}

/** Likewise. */
async function tracingOf(
  authentication: readonly AuthenticationDocument[],
  workload: Workload,
  rootNamespace: string,
): Promise<TracingChoice | null> {
  if (!authentication.some((each) => each.kind === "Telemetry" && each.tracing.length > 0)) return null;
  const [{ telemetriesOf }, { resolveTracing }] = await Promise.all([
    import("../../policy/access-log.ts"),
    import("../../policy/tracing-choice.ts"),
  ]);
  return resolveTracing(telemetriesOf(authentication), workload, rootNamespace);
}

/** The set's documents, or null while one is missing or has another version. */
function documentsOf(set: WirePolicySet, held: ReadonlyMap<string, WirePolicy>): SetDocuments | null {
  const policies: AuthorizationPolicy[] = [];
  const authentication: WireUnread<AuthenticationKind>[] = [];
  const keys: WireUnread<"KeySet">[] = [];
  const traffic: WireUnread<TrafficKind>[] = [];
  for (const [name, version] of set.hashes) {
    const found = held.get(name);
    if (found?.version !== version) return null;
    const { content } = found;
    switch (content.kind) {
      case "policy":
        policies.push(content.document);
        break;
      case "authentication":
        authentication.push(content.document);
        break;
      case "keys":
        keys.push(content.document);
        break;
      case "traffic":
        traffic.push(content.document);
        break;
    }
  }
  return { policies, authentication, keys, traffic };
}

/**
 * The control plane leaves out what selects none of the label sets that it knows of this identity. When ours is none
 * of them it may have left out a DENY policy. Errors: `bad-input`.
 */
function assertInScope(set: WirePolicySet, workload: Workload): void {
  const own = Object.entries(workload.labels);
  const isKnown = set.scope.some((labels) => own.every(([name, value]) => labels.get(name) === value));
  if (isKnown || set.scope.length === 0) return;
  const labels = own.map(([name, value]) => `${name}=${value}`).join(",");
  throw new CardeaError("bad-input", `the registry knows no workload of this identity with the labels ${labels}`);
}
