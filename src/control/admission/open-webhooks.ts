import { LIMITS } from "../../core/limits.ts";
import type { Address, Clock, Listening, Logger, Random } from "../../core/ports.ts";
import type { HttpsServerOptions } from "../../io/https-server.ts";
import type { Authority } from "../ca/authority.ts";
import { type AdmissionObserver, admissionRoute } from "./admission-route.ts";
import { type CaBundlePort, keepCaBundle } from "./ca-bundle.ts";
import type { PodWorld } from "./pod-world.ts";
import { reviewInjection } from "./review-injection.ts";
import { reviewPod } from "./review-pod.ts";
import { reviewPolicy } from "./review-policy.ts";
import type { PolicyWorld } from "./staged-report.ts";
import { holdServerCertificate } from "../ca/server-certificate.ts";
import { WEBHOOK_PATHS, webhookNames } from "./webhook-configuration.ts";

export interface WebhooksOptions {
  readonly listen: Address;
  /** `<service>.<namespace>.svc`, as the API server calls us. */
  readonly dnsNames: readonly string[];
  /** And by what else, where it is not in the same cluster. */
  readonly otherNames?: readonly string[];
  /** Whose configurations send to us; null is the one without a name. */
  readonly revisions: readonly (string | null)[];
  readonly authority: Authority;
  readonly pods: PodWorld;
  readonly policies: PolicyWorld;
  readonly configurations: CaBundlePort;
  readonly observer: AdmissionObserver;
  openServer(options: HttpsServerOptions): Promise<Listening>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Opens the webhooks: certificate, port, and last the roots in the webhook configurations, so that nobody is sent to a
 * port that is not there. Errors: `unreachable` when the port is taken.
 */
export async function openWebhooks(options: WebhooksOptions): Promise<Listening & { notAfterMs(): number }> {
  const { listen, revisions, authority, pods, policies, clock } = options;
  const dnsNames = [...options.dnsNames, ...(options.otherNames ?? [])];
  const certificate = await holdServerCertificate({ ...options, dnsNames });
  const routes = [
    admissionRoute({ ...options, path: WEBHOOK_PATHS.inject, review: (request) => reviewInjection(request, pods) }),
    admissionRoute({ ...options, path: WEBHOOK_PATHS.pods, review: (request) => reviewPod(request, pods) }),
    admissionRoute({ ...options, path: WEBHOOK_PATHS.policies, review: (request) => reviewPolicy(request, policies) }),
  ];
  try {
    const server = await options.openServer({
      listen,
      material: certificate.material,
      routes,
      bodyBytesMax: LIMITS.webhookBodyBytesMax,
      heldBytesMax: LIMITS.webhookHeldBytesMax,
      waitMsMax: LIMITS.webhookWaitMs,
      clock,
    });
    const rootsPem = (): string => authority.bundle.pem;
    const bundles = revisions.map((each) => keepCaBundle({ ...options, ...webhookNames(each), rootsPem }));
    return {
      address: server.address,
      notAfterMs: () => certificate.notAfterMs(),
      async close() {
        for (const bundle of bundles) bundle.close();
        certificate.close();
        await server.close();
      },
    };
  } catch (thrown) {
    certificate.close();
    throw thrown;
  }
}
