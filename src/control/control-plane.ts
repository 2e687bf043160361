import { loadMeshApi } from "../api/load.ts";
import type { ControlConfig } from "../config/control-config.ts";
import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { ListenTls } from "../core/grpc-tls.ts";
import { createLatest } from "../core/latest.ts";
import { LIMITS } from "../core/limits.ts";
import { formatFault } from "../core/located.ts";
import type { Address, Clock, Listening, Logger, Random } from "../core/ports.ts";
import { type SpiffeId, spiffeIdFor } from "../core/spiffe-id.ts";
import type { StateFiles } from "../core/state-files.ts";
import type { HttpAdminOptions } from "../io/http-admin.ts";
import { trustBundlesOf } from "../pki/bundle.ts";
import { adminRoutes } from "./admin.ts";
import { createAttestor } from "./ca/attest.ts";
import { openAuthority } from "./ca/authority.ts";
import { createCertificateService } from "./ca/certificate-service.ts";
import { createSvidIssuer, type IssueSvid } from "./ca/issue.ts";
import { sweepJoinTokens } from "./ca/join-token.ts";
import { holdServingIdentity } from "./ca/serving-identity.ts";
import { createDiscovery } from "./distribute/delta-xds.ts";
import type { Directory } from "./distribute/directory.ts";
import type { PolicySource } from "./distribute/policy-source.ts";
import { openPolicyStore, type PolicyStore } from "./distribute/policy-store.ts";
import { openRegistry } from "./distribute/registry.ts";
import type { RevisionArchive } from "./distribute/revision-archive.ts";
import { createScope } from "./distribute/scope.ts";
import { createSidecars, type Sidecars } from "./distribute/sidecars.ts";
import { callerOf, openGrpcServer } from "./grpc-server.ts";
import { type ControlMetrics, createControlMetrics } from "./metrics.ts";

/** What the control plane needs of the outside. */
export interface ControlPorts {
  readonly policies: PolicySource;
  readonly registry: Directory;
  readonly archive: RevisionArchive;
  /** Keys of the authority and join tokens. */
  readonly state: StateFiles;
  readonly listenTls: ListenTls;
  openAdmin(options: HttpAdminOptions): Promise<Listening>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Of this program, for the metrics. */
  readonly version: string;
}

/** A control plane that runs. */
export interface ControlPlane {
  /** Certificates and discovery, gRPC. */
  readonly address: Address;
  readonly admin: Address;
  /** What a sidecar must expect it to prove. */
  readonly spiffeId: SpiffeId;
  /** Ends streams and ports; calls that are under way may finish for `graceMs`. Sidecars go on with what they have. */
  close(graceMs: number): Promise<void>;
}

/** The service account of the control plane, in the root namespace. */
const CONTROL_ACCOUNT = "cardea-control";

/**
 * Opens the authority, the policies and the registry, then the ports. Errors: `bad-input` when there is no good policy
 * set, neither in the files nor from an earlier run, or when the state is damaged; `unreachable` when a port is taken.
 * Nothing stays open after an error.
 */
export async function openControlPlane(config: ControlConfig, ports: ControlPorts): Promise<ControlPlane> {
  const closing: Closing = [];
  const close = async (graceMs: number): Promise<void> => {
    for (const closeOne of closing.splice(0).toReversed()) await closeOne(graceMs);
  };
  try {
    return { ...(await openParts(config, ports, closing)), close };
  } catch (thrown) {
    await close(0);
    throw thrown;
  }
}

type Closing = ((graceMs: number) => Promise<void> | void)[];

async function openParts(
  config: ControlConfig,
  ports: ControlPorts,
  closing: Closing,
): Promise<Omit<ControlPlane, "close">> {
  const { clock, logger } = ports;
  const { trustDomain } = config.mesh;
  const api = loadMeshApi();
  const policies = await openPolicyStore({ ...ports, source: ports.policies, settings: config.mesh, api });
  closing.push(() => policies.close());
  assertSomePolicies(policies);
  const registry = await openRegistry({ directory: ports.registry, api, trustDomain, logger });
  closing.push(() => registry.close());
  const sidecars = createSidecars(clock);
  const metrics = createControlMetrics(ports.version);
  const identity = await openIdentity(config, ports, { sidecars, metrics, closing });
  const viewFor = createScope({ registry: registry.content, policies: policies.content, settings: config.mesh, api });
  const discovery = createDiscovery({
    callerOf,
    trustDomain,
    viewFor,
    sidecars,
    observer: metrics.discovery,
    clock,
    logger,
  });
  closing.push(
    policies.content.subscribe(() => discovery.push()),
    registry.content.subscribe(() => discovery.push()),
  );
  const services = [
    { definition: api.certificates, handlers: identity.certificates },
    { definition: api.discovery, handlers: discovery.handlers },
  ];
  const server = await openGrpcServer({ ...ports, ...identity, listen: config.listen, services });
  closing.push(
    (graceMs) => server.close(graceMs),
    () => discovery.close(),
  );
  const { notAfterMs } = identity;
  const routes = adminRoutes({ config, policies, registry, sidecars, metrics, notAfterMs, clock });
  const admin = await ports.openAdmin({ at: config.admin, routes, hosts: "loopback" });
  closing.push(() => admin.close());
  return { address: server.address, admin: admin.address, spiffeId: identity.spiffeId };
}

/** The authority with its service, and the certificate that the control plane itself shows. */
async function openIdentity(
  config: ControlConfig,
  ports: ControlPorts,
  parts: { sidecars: Sidecars; metrics: ControlMetrics; closing: Closing },
) {
  const { clock, random, logger, state: files } = ports;
  const { trustDomain, rootNamespace } = config.mesh;
  const authority = await openAuthority({ files, trustDomain, clock, random, logger });
  const issue = noting(createSvidIssuer({ authority, clock, random }), parts.sidecars);
  const spiffeId = spiffeIdFor(trustDomain, rootNamespace, CONTROL_ACCOUNT);
  const serving = await holdServingIdentity({ spiffeId, authority, issue, clock, logger });
  parts.closing.push(() => serving.close());
  const tokens = sweepTokens(ports);
  parts.closing.push(() => tokens.close());
  const attest = createAttestor({ files, clock, trustDomain });
  return {
    spiffeId,
    material: serving.material,
    bundles: createLatest(trustBundlesOf(authority.bundle)),
    notAfterMs: () => ({ ...authority.notAfterMs(), serving: serving.notAfterMs() }),
    certificates: createCertificateService({ attest, issue, callerOf, observer: parts.metrics.issuance, logger }),
  };
}

/** Removes join tokens that nobody used in time, now and as long as it is open. */
function sweepTokens({ state, clock, logger }: ControlPorts): { close(): void } {
  const sweep = (): void => {
    timer = clock.setTimer(LIMITS.joinTokenTtlMs, sweep);
    sweepJoinTokens(state, clock).catch((thrown: unknown) => {
      logger.log("warn", "tokens-not-swept", { error: toCardeaError(thrown).message });
    });
  };
  let timer = clock.setTimer(0, sweep);
  return { close: () => timer.cancel() };
}

/** A mesh that never had policies would refuse everything without a word of why. Errors: `bad-input`. */
function assertSomePolicies(policies: PolicyStore): void {
  if (policies.content.get() !== null) return;
  throw new CardeaError("bad-input", policies.faults.get().map(formatFault).join("\n"));
}

function noting(issue: IssueSvid, sidecars: Sidecars): IssueSvid {
  return async (request) => {
    const issued = await issue(request);
    sidecars.certified(request.spiffeId, issued.notAfterMs);
    return issued;
  };
}
