import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { KUBE } from "../../core/kube-resources.ts";
import type { KubeApi } from "../../core/kube.ts";
import { type SpiffeId, spiffeIdFor, type TrustDomain, trustDomainOf } from "../../core/spiffe-id.ts";
import type { Attest, Attestation } from "../ca/attest.ts";
import { list, record } from "./endpoint-facts.ts";
import { type PodFacts, podFactsOf } from "./pod-facts.ts";

export interface TokenReviewOptions {
  readonly kube: KubeApi;
  readonly trustDomain: TrustDomain;
  /** What a token must have been made for: one for the API server, or for anybody else, is none for us. */
  readonly audience: string;
  /** Whether a pod of the identity runs in the mesh now. */
  hasPod(spiffeId: SpiffeId): boolean;
}

/** Longer than any bound token; shorter than what would hurt. */
const TOKEN_CHARACTERS_MAX = 16_384;
/** RFC 7519 in its compact form; what it says is the API server's to judge. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * Attestation by the cluster: the API server says whose token it is, and the pod that it is bound to must be there, be
 * that very pod (UID), run under that service account and on that node. A token of a service account alone is refused:
 * it could be copied to anywhere. Without a token a certificate renews its own identity as long as a pod has it.
 */
export function createTokenReviewAttestor(options: TokenReviewOptions): Attest {
  return async ({ joinToken, caller }) => {
    if (joinToken !== null) return attestToken(joinToken, options);
    if (caller === null) throw refused("neither a service account's token nor a certificate was shown");
    if (trustDomainOf(caller) !== options.trustDomain)
      throw refused(`${caller} is not of trust domain ${options.trustDomain}`);
    if (!options.hasPod(caller)) throw refused(`no pod of the mesh runs as ${caller} any more`);
    return { spiffeId: caller, method: "svid" };
  };
}

async function attestToken(token: string, options: TokenReviewOptions): Promise<Attestation> {
  if (token.length > TOKEN_CHARACTERS_MAX || !JWT.test(token)) throw refused("the token is malformed");
  const claims = await review(token, options);
  const pod = await podOf(claims, options);
  if (pod.serviceAccount !== claims.serviceAccount)
    throw refused(`pod ${pod.key} runs as ${pod.serviceAccount}, the token is of ${claims.serviceAccount}`);
  if (claims.node !== null && pod.node !== claims.node)
    throw refused(`pod ${pod.key} is on another node than its token says`);
  if (pod.isOver) throw refused(`pod ${pod.key} has run to its end`);
  const spiffeId = spiffeIdFor(options.trustDomain, claims.namespace, claims.serviceAccount);
  return { spiffeId, method: "token-review" };
}

interface TokenClaims {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly podName: string;
  readonly podUid: string;
  readonly node: string | null;
}

/** TokenReview (authentication.k8s.io/v1). The server checks signature, time, audience and that the pod is there. */
async function review(token: string, { kube, audience }: TokenReviewOptions): Promise<TokenClaims> {
  const answer = await kube.create(KUBE.tokenReviews, { metadata: {}, spec: { token, audiences: [audience] } });
  const status = record(answer["status"]);
  if (status["authenticated"] !== true) throw refused("the API server does not accept the token");
  // A server that does not know audiences would leave them out, and has then not checked them.
  if (!list(status["audiences"]).includes(audience)) throw refused(`the token is not for audience ${audience}`);
  const user = record(status["user"]);
  const name = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(String(user["username"]));
  if (name === null) throw refused("the token is of no service account");
  const extra = record(user["extra"]);
  const first = (key: string): string | null => {
    const [value] = list(extra[`authentication.kubernetes.io/${key}`]);
    return typeof value === "string" && value !== "" ? value : null;
  };
  const [podName, podUid] = [first("pod-name"), first("pod-uid")];
  if (podName === null || podUid === null) throw refused("the token is bound to no pod");
  return { namespace: name[1]!, serviceAccount: name[2]!, podName, podUid, node: first("node-name") };
}

/** Asked of the API server itself: our own list may be a moment behind. */
async function podOf(claims: TokenClaims, { kube, trustDomain }: TokenReviewOptions): Promise<PodFacts> {
  const { namespace, podName: name, podUid } = claims;
  const object = await kube.get(KUBE.pods, { namespace, name }).catch((thrown: unknown) => {
    // A name that the API does not even take is the token's fault, everything else is ours.
    if (toCardeaError(thrown).code === "kube-refused") return null;
    throw thrown;
  });
  const pod = object && podFactsOf(object, trustDomain);
  if (pod === null || pod.uid !== podUid) throw refused(`pod ${namespace}/${name} of the token is gone`);
  return pod;
}

function refused(why: string): CardeaError {
  return new CardeaError("attestation-failed", why);
}
