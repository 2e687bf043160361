import type { HubbleConfig } from "../../config/control-config.ts";
import { CardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { Address, Random } from "../../core/ports.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import type { Authority } from "../ca/authority.ts";
import { holdServerCertificate } from "../ca/server-certificate.ts";
import type { FlowQueries } from "../flows/query.ts";
import { callerOf, type GrpcServer, type GrpcServerOptions, openGrpcServer } from "../grpc-server.ts";
import { HEALTH_SERVICE } from "../health-service.ts";
import { openPlainGrpcServer } from "../plain-grpc-server.ts";
import { createObserverService } from "./observer-service.ts";
import { namespacesOf } from "./readers.ts";

export interface HubbleOptions extends Pick<GrpcServerOptions, "bundles" | "clock" | "listenTls" | "logger"> {
  readonly config: HubbleConfig;
  readonly queries: FlowQueries;
  /** The mesh's name: Hubble's cluster. */
  readonly name: string;
  readonly mesh: Pick<MeshSettings, "trustDomain" | "rootNamespace">;
  readonly version: string;
  readonly storeBytesMax: number;
  readonly authority: Authority;
  readonly random: Random;
}

/**
 * Hubble's observer API. On loopback everybody may read everything, as on the admin port; anywhere else callers show a
 * certificate of the mesh, and read the flows of their own namespace. Errors: `unreachable` when the port is taken.
 */
export function openHubble(options: HubbleOptions): Promise<GrpcServer> {
  return isLoopback(options.config.listen) ? openPlain(options) : openSecured(options);
}

export function isLoopback({ host }: Pick<Address, "host">): boolean {
  return host.startsWith("127.") || host === "::1";
}

/** What the limits are for: requests are small, and streams are counted over all connections. */
const SERVER_LIMITS = {
  "grpc.max_receive_message_length": FLOW_LIMITS.hubbleRequestBytesMax,
  "grpc.max_concurrent_streams": 100,
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 20_000,
} as const;

async function openPlain(options: HubbleOptions): Promise<GrpcServer> {
  const { listen } = options.config;
  let at = listen;
  const service = serviceOf(options, { at: () => at, isSecured: false, readableBy: () => "all" });
  const server = await openPlainGrpcServer({ listen, services: [service, HEALTH_SERVICE], limits: SERVER_LIMITS });
  at = server.address;
  return server;
}

async function openSecured(options: HubbleOptions): Promise<GrpcServer> {
  const { listen, dnsNames } = options.config;
  if (dnsNames.length === 0)
    throw new CardeaError("bad-input", "hubble: dnsNames are missing, by which clients know the port beyond loopback");
  const certificate = await holdServerCertificate({ ...options, dnsNames, failureEvent: "hubble-certificate-failed" });
  let at = listen;
  const service = serviceOf(options, {
    at: () => at,
    isSecured: true,
    readableBy: (call) => namespacesOf(callerOf(call), options.mesh),
  });
  try {
    const { material } = certificate;
    const server = await openGrpcServer({ ...options, listen, material, services: [service, HEALTH_SERVICE] });
    at = server.address;
    return {
      address: at,
      async close(graceMs) {
        certificate.close();
        await server.close(graceMs);
      },
    };
  } catch (thrown) {
    certificate.close();
    throw thrown;
  }
}

type Access = Pick<Parameters<typeof createObserverService>[0], "at" | "isSecured" | "readableBy">;

function serviceOf({ queries, name, version, storeBytesMax, clock }: HubbleOptions, access: Access) {
  const place = { cluster: name, node: `${name}/cardea-control`, version };
  return createObserverService({ queries, place, storeBytesMax, clock, startedMs: clock.wallMs(), ...access });
}
