import type { CaBundlePort } from "../../src/control/admission/ca-bundle.ts";
import { openWebhooks, type WebhooksOptions } from "../../src/control/admission/open-webhooks.ts";
import type { PodWorld } from "../../src/control/admission/pod-world.ts";
import { openAuthority } from "../../src/control/ca/authority.ts";
import { DEFAULT_INJECT_SETTINGS } from "../../src/control/inject/settings.ts";
import { parseTrustDomain } from "../../src/core/spiffe-id.ts";
import { systemClock } from "../../src/io/clock.ts";
import { openHttpsServer } from "../../src/io/https-server.ts";
import { createSystemRandom } from "../../src/io/random.ts";
import { DEFAULT_MESH_SETTINGS } from "../../src/policy/mesh-settings.ts";
import { createKeptLog } from "./kept-log.ts";
import { createMemoryStateFiles } from "./memory-state-files.ts";

/** Webhooks on a loopback port, by the real server and an authority in memory, for callers of the name localhost. */
export async function createWebhookWorld(pods: Partial<PodWorld>, configurations: CaBundlePort) {
  const clock = systemClock;
  const random = createSystemRandom();
  const logger = createKeptLog();
  const outcomes = new Map<string, number>();
  const trustDomain = parseTrustDomain("cluster.local");
  const authority = await openAuthority({ files: createMemoryStateFiles(), trustDomain, clock, random, logger });
  const options: WebhooksOptions = {
    listen: { host: "127.0.0.1", port: 0 },
    dnsNames: ["localhost"],
    revisions: [null],
    authority,
    pods: {
      settings: () => DEFAULT_INJECT_SETTINGS,
      bypassMode: () => "audit",
      namespaceOf: async () => null,
      ...pods,
    },
    policies: {
      settings: DEFAULT_MESH_SETTINGS,
      workloads: () => [],
      policies: () => [],
      authentication: () => [],
      nowMs: () => 0,
      traffic: () => [],
      services: () => null,
    },
    configurations,
    observer: { reviewed: (_path, outcome) => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1) },
    openServer: openHttpsServer,
    clock,
    random,
    logger,
  };
  return {
    rootsPem: authority.bundle.pem,
    logger,
    outcomes,
    /** On the port given, or a free one. */
    open: (port = 0) => openWebhooks({ ...options, listen: { host: "127.0.0.1", port } }),
  };
}
