import { beforeEach, describe, expect, test } from "vitest";
import { createTokenReviewAttestor } from "../../../../src/control/kube/token-review.ts";
import { KUBE } from "../../../../src/core/kube-resources.ts";
import { parseTrustDomain, spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { podObject } from "../../../support/kube-objects.ts";
import { createMemoryKube, type MemoryKube } from "../../../support/memory-kube.ts";

// What an API server could answer; the end-to-end suite has what one does answer.

const TOKEN = "e30.e30.c2ln";
const EXTRA = "authentication.kubernetes.io";
let kube: MemoryKube;
let status: Record<string, unknown>;

beforeEach(() => {
  kube = createMemoryKube();
  kube.put(KUBE.pods, podObject("web-1", { uid: "u1" }));
  status = {
    authenticated: true,
    audiences: ["cardea"],
    user: {
      username: "system:serviceaccount:shop:web",
      extra: { [`${EXTRA}/pod-name`]: ["web-1"], [`${EXTRA}/pod-uid`]: ["u1"], [`${EXTRA}/node-name`]: ["node-1"] },
    },
  };
  kube.onCreate("TokenReview", (review) => ({ ...review, status }));
});

function attest(joinToken: string | null, caller: string | null = null) {
  const trustDomain = parseTrustDomain("cluster.local");
  const attestor = createTokenReviewAttestor({ kube, trustDomain, audience: "cardea", hasPod });
  return attestor({ joinToken, caller: caller as never, publicKey: Buffer.alloc(0) });
}

function hasPod(spiffeId: string): boolean {
  return spiffeId.endsWith("/sa/web");
}

function withUser(user: object): void {
  status = { ...status, user: { ...(status["user"] as object), ...user } };
}

test("a token of a living pod is its service account", async () => {
  const expected = { spiffeId: "spiffe://cluster.local/ns/shop/sa/web", method: "token-review" };
  expect(await attest(TOKEN)).toEqual(expected);
});

describe("is refused:", () => {
  test.each<[string, () => void, string]>([
    ["what the server does not accept", () => (status = { authenticated: false }), "does not accept"],
    ["no answer at all", () => (status = {}), "does not accept"],
    ["'true' that is a text", () => (status = { ...status, authenticated: "true" }), "does not accept"],
    ["another audience", () => (status = { ...status, audiences: ["vault"] }), "not for audience"],
    ["an audience that was not checked", () => (status = { ...status, audiences: undefined }), "not for audience"],
    ["a person", () => withUser({ username: "jane" }), "no service account"],
    ["a name with one part more", () => withUser({ username: "system:serviceaccount:a:b:c" }), "no service account"],
    ["no pod", () => withUser({ extra: {} }), "bound to no pod"],
    ["a pod without its UID", () => withUser({ extra: { [`${EXTRA}/pod-name`]: ["web-1"] } }), "bound to no pod"],
    ["a pod that is gone", () => kube.take(KUBE.pods, "web-1", "shop"), "is gone"],
    ["a later pod of that name", () => kube.put(KUBE.pods, podObject("web-1", { uid: "u2" })), "is gone"],
    [
      "a pod of another service account",
      () => kube.put(KUBE.pods, podObject("web-1", { uid: "u1", serviceAccount: "orders" })),
      "runs as orders",
    ],
    [
      "a pod on another node",
      () => kube.put(KUBE.pods, podObject("web-1", { uid: "u1", node: "node-2" })),
      "another node",
    ],
    ["a pod that is over", () => kube.put(KUBE.pods, podObject("web-1", { uid: "u1", phase: "Failed" })), "to its end"],
  ])("%s", async (_name, change, message) => {
    change();
    await expect(attest(TOKEN)).rejects.toMatchObject({
      code: "attestation-failed",
      message: expect.stringContaining(message),
    });
  });

  test.each([["", "a.b", "a.b.c.d", "a b.c.d", "x".repeat(20_000)]])("%j, without asking the server", async (token) => {
    await expect(attest(token)).rejects.toMatchObject({ code: "attestation-failed" });
    expect(kube.calls).toEqual([]);
  });

  test("nothing shown, a certificate of elsewhere, and one that no pod has any more", async () => {
    await expect(attest(null)).rejects.toMatchObject({ code: "attestation-failed" });
    await expect(attest(null, "spiffe://other/ns/shop/sa/web")).rejects.toMatchObject({ code: "attestation-failed" });
    const gone = spiffeIdFor("cluster.local", "shop", "gone");
    await expect(attest(null, gone)).rejects.toThrow("no pod of the mesh");
  });

  test("a token is judged, not the certificate beside it", async () => {
    status = { authenticated: false };
    const caller = spiffeIdFor("cluster.local", "shop", "web");
    await expect(attest(TOKEN, caller)).rejects.toMatchObject({ code: "attestation-failed" });
  });
});

test("an API server that is away is our failure, not the caller's", async () => {
  kube.fail("create", "unreachable");
  await expect(attest(TOKEN)).rejects.toMatchObject({ code: "unreachable" });
  kube.fail("get", "unreachable");
  await expect(attest(TOKEN)).rejects.toMatchObject({ code: "unreachable" });
});

test("a certificate renews what it names, as long as a pod has it", async () => {
  const caller = spiffeIdFor("cluster.local", "shop", "web");
  expect(await attest(null, caller)).toEqual({ spiffeId: caller, method: "svid" });
});
