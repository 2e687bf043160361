import { createLogsService } from "../../src/control/flows/logs-service.ts";
import { callerOf, openGrpcServer } from "../../src/control/grpc-server.ts";
import { createLatest } from "../../src/core/latest.ts";
import type { TlsMaterial } from "../../src/core/ports.ts";
import { parseTrustDomain } from "../../src/core/spiffe-id.ts";
import { systemClock } from "../../src/io/clock.ts";
import { listenTls } from "../../src/io/tls-listener.ts";
import { parseTrustBundle, trustBundlesOf } from "../../src/pki/bundle.ts";

/** What the parent gives it to be a collector with. */
export interface SinkSetting {
  readonly material: TlsMaterial;
  readonly rootPem: string;
}

// A collector that takes everything and keeps nothing, for bench/flows/export.ts.

process.once("message", (message) => void serve(message as SinkSetting));

async function serve({ material, rootPem }: SinkSetting): Promise<void> {
  const service = createLogsService({
    store: { export: async () => ({ accepted: 0, rejected: 0, why: "" }) },
    callerOf,
    logger: { log: () => {}, isEnabled: () => false },
  });
  const { address } = await openGrpcServer({
    listen: { host: "127.0.0.1", port: 0 },
    listenTls,
    material: createLatest(material),
    bundles: createLatest(trustBundlesOf(parseTrustBundle(parseTrustDomain("cluster.local"), rootPem))),
    services: [service],
    clock: systemClock,
    logger: { log: () => {}, isEnabled: () => false },
  });
  process.send!(address.port);
}
