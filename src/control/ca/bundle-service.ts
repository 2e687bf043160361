import { type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import type { BundleHandlers } from "../../api/generated/spire/api/server/bundle/v1/Bundle.ts";
import type { GetBundleRequest__Output } from "../../api/generated/spire/api/server/bundle/v1/GetBundleRequest.ts";
import type { Bundle } from "../../api/generated/spire/api/types/Bundle.ts";
import { toCardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Logger } from "../../core/ports.ts";
import type { TrustBundle } from "../../pki/bundle.ts";
import type { JwtKeys } from "./jwt-keys.ts";

export interface BundleServiceOptions {
  readonly bundle: TrustBundle;
  readonly keys: JwtKeys;
  readonly logger: Logger;
}

/** `spire.api.server.bundle.v1.Bundle/GetBundle`: who vouches for certificates and tokens. Public: anybody may ask. */
export function createBundleService({ bundle, keys, logger }: BundleServiceOptions): BundleHandlers {
  return {
    GetBundle: (_call: ServerUnaryCall<GetBundleRequest__Output, Bundle>, answer: sendUnaryData<Bundle>): void => {
      keys.published().then(
        (published) =>
          answer(null, {
            trustDomain: bundle.trustDomain,
            x509Authorities: bundle.roots.map(({ certificate }) => ({ asn1: certificate.der })),
            jwtAuthorities: published.map(({ keyId, publicKey, expiresAtMs }) => ({
              keyId,
              publicKey,
              expiresAt: Math.floor(expiresAtMs / 1_000),
            })),
            refreshHint: LIMITS.bundleRefreshMs / 1_000,
            sequenceNumber: keys.sequence(),
          }),
        (thrown: unknown) => {
          logger.log("error", "bundle-not-told", { message: toCardeaError(thrown).message });
          answer({ code: status.UNAVAILABLE, details: "the keys cannot be read now; the authority's log says why" });
        },
      );
    },
  };
}
