import { SECRET_DISCOVERY, WORKLOAD_API } from "../../api/methods.ts";
import { CardeaError } from "../../core/errors.ts";
import type { Latest } from "../../core/latest.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Connection } from "../../core/ports.ts";
import type { TrustBundles } from "../../pki/bundle.ts";
import { GRPC, type GrpcStatus } from "../../wire/grpc-status.ts";
import { headerValues } from "../../wire/headers.ts";
import { NOTHING, ServedCalls, type ServedMethod } from "../calls/served-calls.ts";
import { Http2ServerConnection } from "../http2/server-connection.ts";
import { UNLIMITED } from "../lifetime.ts";
import { LiveConnections } from "../live.ts";
import type { CallControl } from "../calls/control-call.ts";
import { fetchJwtBundles, fetchJwtSvid, validateJwtSvid } from "./jwt-methods.ts";
import { JwtSource } from "./jwt-source.ts";
import { AppIdentity, type AppIdentityOptions } from "./app-identity.ts";
import { Callers } from "./callers.ts";
import { deltaSecrets, fetchSecrets, streamSecrets } from "./secret-methods.ts";
import { fetchX509Bundles, fetchX509Svid } from "./x509-methods.ts";

export interface WorkloadApiOptions extends Omit<AppIdentityOptions, "bundles"> {
  /** Whom the workload may trust, of every trust domain. */
  readonly bundles: Latest<TrustBundles>;
  /** Asks the control plane for tokens, and for the keys that verify them. */
  readonly callControl: CallControl;
  readonly clock: Clock;
}

/** The identity socket's side of the sidecar. */
export interface WorkloadApi {
  /** Takes a connection over. `caller`: its process id, or null where the kernel does not say. */
  serve(connection: Connection, caller: number | null): void;
  /** Asks for a new certificate for the app now, when it has one. */
  renew(): void;
  /** Ends all connections. */
  close(): void;
}

/**
 * The SPIFFE Workload API on connections that somebody else accepts. Who reaches the socket is a part of this workload, and
 * gets the workload's identity. SPIFFE Workload Endpoint, SPIFFE Workload API.
 */
export function createWorkloadApi(options: WorkloadApiOptions): WorkloadApi {
  const { clock, logger } = options;
  const app = new AppIdentity({ ...options, bundles: options.bundles.get() });
  const jwt = new JwtSource(options);
  const sources = { spiffeId: options.spiffeId, app, jwt, bundles: options.bundles, clock, logger };
  const methods: ReadonlyMap<string, ServedMethod> = new Map([
    [WORKLOAD_API.fetchX509Svid, meant(fetchX509Svid(sources))],
    [WORKLOAD_API.fetchX509Bundles, meant(fetchX509Bundles(sources))],
    [WORKLOAD_API.fetchJwtSvid, meant(fetchJwtSvid(sources))],
    [WORKLOAD_API.fetchJwtBundles, meant(fetchJwtBundles(sources))],
    [WORKLOAD_API.validateJwtSvid, meant(validateJwtSvid(sources))],
  ]);
  // Envoy knows nothing of the Workload API's field.
  const secrets: ReadonlyMap<string, ServedMethod> = new Map([
    [SECRET_DISCOVERY.stream, streamSecrets(sources)],
    [SECRET_DISCOVERY.delta, deltaSecrets(sources)],
    [SECRET_DISCOVERY.fetch, fetchSecrets(sources)],
  ]);
  const live = new LiveConnections(clock);
  const callers = new Callers();
  return {
    serve(connection, caller) {
      if (live.isDraining || live.size >= LIMITS.workloadApiConnectionsMax) return connection.destroy();
      const own = [...methods, ...secrets].map(
        ([path, method]) => [path, callers.bounded(caller ?? connection, method)] as const,
      );
      const messageBytesMax = LIMITS.workloadApiMessageBytesMax;
      const handler = new ServedCalls({ methods: new Map(own), messageBytesMax });
      const served = { handler, live, clock, lifetime: UNLIMITED, ignoresAuthority: true };
      void new Http2ServerConnection(connection, served);
    },
    renew: () => app.renew(),
    close() {
      app.close();
      jwt.close();
      live.isDraining = true;
      live.endNow(new CardeaError("draining", "the sidecar is ending"));
    },
  };
}

/**
 * Only for callers that say a certain field: who can be talked into sending requests for others (SSRF) can hardly be
 * talked into that, too. SPIFFE Workload Endpoint section 5.
 */
function meant(method: ServedMethod): ServedMethod {
  return (call) => {
    const values = headerValues(call.metadata, "workload.spiffe.io");
    if (values.length === 1 && values[0] === "true") return method(call);
    call.end(NOT_MEANT);
    return NOTHING;
  };
}

const NOT_MEANT: GrpcStatus = {
  code: GRPC.INVALID_ARGUMENT,
  message: "security header missing from request: workload.spiffe.io: true",
};
