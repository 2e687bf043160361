import { parseKubeControlConfig } from "../../src/config/kube-control-config.ts";
import type { ControlStatus } from "../../src/control/admin.ts";
import type { ControlPlane } from "../../src/control/control-plane.ts";
import { DEFAULT_INJECT_SETTINGS } from "../../src/control/inject/settings.ts";
import { openKubeControlPlane } from "../../src/control/kube/kube-plane.ts";
import type { KubeApi } from "../../src/core/kube.ts";
import type { AdminRoute } from "../../src/io/http-admin.ts";
import type { HttpsServerOptions, PostAnswer } from "../../src/io/https-server.ts";
import { admissionReview, bytesOf } from "./admission-review.ts";
import { createKeptLog, type KeptLog } from "./kept-log.ts";
import { createSeededRandom, type SimulatedClock } from "./simulated-clock.ts";

/** A replica of the control plane on Kubernetes, whole but for its ports, over an API and a clock that a test moves. */
export interface SimReplica {
  readonly log: KeptLog;
  readonly rootPem: string;
  readonly plane: ControlPlane;
  status(): Promise<ControlStatus>;
  metrics(): Promise<string>;
  /** Asks a webhook as the API server would; the AdmissionReview's response. */
  review(path: string, request: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

export interface SimReplicaOptions {
  readonly kube: KubeApi;
  readonly clock: SimulatedClock;
  readonly name?: string;
}

/** Resolves once the cluster has been listed; the clock must be moved meanwhile where the API makes it wait. */
export async function openSimReplica({ kube, clock, name = "control-a" }: SimReplicaOptions): Promise<SimReplica> {
  const config = parseKubeControlConfig(null, "none", { CARDEA_POD_NAME: name, CARDEA_POD_NAMESPACE: "cardea-system" });
  const log = createKeptLog();
  let routes: readonly AdminRoute[] = [];
  let webhooks: HttpsServerOptions | null = null;
  const nowhere = { address: { host: "127.0.0.1", port: 1 }, close: async () => undefined };
  const plane = await openKubeControlPlane(config, {
    kube,
    clock,
    random: createSeededRandom(name.length),
    logger: log,
    version: "0.0.0-test",
    injection: DEFAULT_INJECT_SETTINGS,
    listenTls: async () => nowhere,
    async openAdmin(options) {
      if (options.hosts === "loopback") ({ routes } = options);
      return nowhere;
    },
    async openHttpsServer(options) {
      webhooks = options;
      return nowhere;
    },
  });
  const answerOf = async (path: string): Promise<string> => {
    const { body } = await routes.find((route) => route.path === path)!.answer(new URLSearchParams());
    if (typeof body === "string") return body;
    let text = "";
    for await (const piece of body) text += piece;
    return text;
  };
  return {
    log,
    plane,
    rootPem: plane.rootPem,
    status: async () => JSON.parse(await answerOf("/status")) as ControlStatus,
    metrics: () => answerOf("/metrics"),
    async review(path, request) {
      const route = webhooks!.routes.find((each) => each.path === path)!;
      const answer: PostAnswer = await route.answer(bytesOf(admissionReview(request)));
      return (JSON.parse(answer.body) as { response: Record<string, unknown> }).response;
    },
    close: () => plane.close(0),
  };
}
