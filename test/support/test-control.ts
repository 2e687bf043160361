import { randomBytes } from "node:crypto";
import { loadMeshApi } from "../../src/api/load.ts";
import { createAttestor } from "../../src/control/ca/attest.ts";
import { type Authority, openAuthority } from "../../src/control/ca/authority.ts";
import { createCertificateService } from "../../src/control/ca/certificate-service.ts";
import { createSvidIssuer, type IssueSvid } from "../../src/control/ca/issue.ts";
import { mintJoinToken } from "../../src/control/ca/join-token.ts";
import { holdServingIdentity } from "../../src/control/ca/serving-identity.ts";
import { callerOf, openGrpcServer } from "../../src/control/grpc-server.ts";
import { createLatest } from "../../src/core/latest.ts";
import type { Address, Clock, Random } from "../../src/core/ports.ts";
import { parseSpiffeId, parseTrustDomain, type SpiffeId, spiffeIdFor } from "../../src/core/spiffe-id.ts";
import { systemClock } from "../../src/io/clock.ts";
import { listenTls } from "../../src/io/tls-listener.ts";
import { type TrustBundles, trustBundlesOf } from "../../src/pki/bundle.ts";
import { createKeptLog, type KeptLog } from "./kept-log.ts";
import { createMemoryStateFiles, type MemoryStateFiles } from "./memory-state-files.ts";

/** An authority behind a real gRPC server on a loopback port. */
export interface TestControl {
  readonly address: Address;
  readonly spiffeId: SpiffeId;
  readonly authority: Authority;
  readonly bundles: TrustBundles;
  readonly files: MemoryStateFiles;
  readonly log: KeptLog;
  readonly issue: IssueSvid;
  mint(spiffeId: string): Promise<string>;
  close(): Promise<void>;
}

export interface TestControlOptions {
  readonly clock?: Clock;
  readonly files?: MemoryStateFiles;
  readonly port?: number;
  readonly serviceAccount?: string;
  /** What answers callers, instead of the authority. */
  readonly issue?: IssueSvid;
}

export const testRandom: Random = { bytes: randomBytes, float: () => 0.5 };

export async function startTestControl(options: TestControlOptions = {}): Promise<TestControl> {
  const clock = options.clock ?? systemClock;
  const files = options.files ?? createMemoryStateFiles();
  const log = createKeptLog();
  const trustDomain = parseTrustDomain("cluster.local");
  const spiffeId = spiffeIdFor(trustDomain, "cardea-system", options.serviceAccount ?? "cardea-control");
  const authority = await openAuthority({ files, trustDomain, clock, random: testRandom, logger: log });
  const issue = createSvidIssuer({ authority, clock, random: testRandom });
  const serving = await holdServingIdentity({ spiffeId, issue, clock, logger: log });
  const bundles = trustBundlesOf(authority.bundle);
  const attest = createAttestor({ files, clock, trustDomain });
  const handlers = createCertificateService({ attest, issue: options.issue ?? issue, callerOf, logger: log });
  const server = await openGrpcServer({
    listen: { host: "127.0.0.1", port: options.port ?? 0 },
    listenTls,
    material: serving.material,
    bundles: createLatest(bundles),
    services: [{ definition: loadMeshApi().certificates, handlers }],
    clock,
    logger: log,
  });
  return {
    address: server.address,
    spiffeId,
    authority,
    bundles,
    files,
    log,
    issue,
    mint: (text) => mintJoinToken({ files, clock, random: testRandom }, { spiffeId: parseSpiffeId(text) }),
    async close() {
      serving.close();
      await server.close(0);
    },
  };
}
