import { EMPTY_REQUEST, X509_BUNDLES_RESPONSE, X509_SVID_RESPONSE } from "../../api/workload-messages.ts";
import type { Latest } from "../../core/latest.ts";
import type { Clock } from "../../core/ports.ts";
import { type TrustDomain, trustDomainOf } from "../../core/spiffe-id.ts";
import type { TrustBundle, TrustBundles } from "../../pki/bundle.ts";
import { parsePem } from "../../pki/pem.ts";
import { GRPC, type GrpcStatus } from "../../wire/grpc-status.ts";
import type { ServedMethod } from "../calls/served-calls.ts";
import type { Identity } from "../identity/identity.ts";
import type { AppIdentity } from "./app-identity.ts";
import { type Answer, pushedAnswers } from "./pushed-answers.ts";

interface X509Sources {
  readonly app: AppIdentity;
  readonly bundles: Latest<TrustBundles>;
  readonly clock: Clock;
}

/** FetchX509SVID: the app's identity with its key, and whom it may trust. SPIFFE Workload API section 5.2.1. */
export function fetchX509Svid({ app, bundles, clock }: X509Sources): ServedMethod {
  const answers = pushedAnswers({
    parse: (request) => EMPTY_REQUEST.deserialize(request),
    compose: () => composeSvid(app, bundles.get()),
    subscribe: (onChange) => subscribeTo([app.identity, app.failure, bundles], onChange),
    clock,
  });
  return (call) => {
    app.want();
    return answers(call);
  };
}

/** FetchX509Bundles: whom the app may trust. SPIFFE Workload API section 5.2.2. */
export function fetchX509Bundles({ bundles, clock }: X509Sources): ServedMethod {
  return pushedAnswers({
    parse: (request) => EMPTY_REQUEST.deserialize(request),
    compose: () => ({
      at: "message",
      message: X509_BUNDLES_RESPONSE.serialize({ bundles: bundlesById(bundles.get()) }),
    }),
    subscribe: (onChange) => bundles.subscribe(onChange),
    clock,
  });
}

/** Why the app has no identity, as its callers are told. SPIFFE Workload Endpoint section 6. */
export function whyNoIdentity({ failure }: AppIdentity): GrpcStatus {
  const error = failure.get();
  if (error === null) return { code: GRPC.UNAVAILABLE, message: "no certificate has come from the authority yet" };
  if (error.code === "attestation-failed")
    return { code: GRPC.PERMISSION_DENIED, message: `no identity issued: ${error.message}` };
  return { code: GRPC.UNAVAILABLE, message: `no certificate yet: ${error.message}` };
}

/** Calls `onChange` after each change of any of them. */
export function subscribeTo(cells: readonly Latest<unknown>[], onChange: () => void): () => void {
  const ends = cells.map((cell) => cell.subscribe(onChange));
  return () => {
    for (const end of ends) end();
  };
}

function composeSvid(app: AppIdentity, bundles: TrustBundles): Answer {
  const identity = app.identity.get();
  if (identity !== null)
    return { at: "message", message: X509_SVID_RESPONSE.serialize(svidMessage(identity, bundles)) };
  const status = whyNoIdentity(app);
  return { at: status.code === GRPC.PERMISSION_DENIED ? "end" : "nothing-yet", status };
}

/** There is one identity, so there is no hint by which to choose. */
function svidMessage({ spiffeId, chainDer, material }: Identity, bundles: TrustBundles) {
  const own = trustDomainOf(spiffeId);
  const [key] = parsePem(material.keyPem);
  const svid = {
    spiffeId,
    x509Svid: Buffer.concat(chainDer),
    x509SvidKey: key!.der,
    bundle: rootsOf(bundles.get(own)),
  };
  return { svids: [svid], federatedBundles: bundlesById(bundles, own) };
}

/** By the SPIFFE ID of the trust domain. */
function bundlesById(bundles: TrustBundles, without?: TrustDomain): ReadonlyMap<string, Buffer> {
  const others = [...bundles.values()].filter(({ trustDomain }) => trustDomain !== without);
  return new Map(others.map((bundle) => [`spiffe://${bundle.trustDomain}`, rootsOf(bundle)]));
}

function rootsOf(bundle: TrustBundle | undefined): Buffer {
  return Buffer.concat((bundle?.roots ?? []).map(({ certificate }) => certificate.der));
}
