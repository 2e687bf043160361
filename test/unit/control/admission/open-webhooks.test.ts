import { Agent, request } from "node:https";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Address } from "../../../../src/core/ports.ts";
import { admissionReview } from "../../../support/admission-review.ts";
import { MESHED, podOf } from "../../../support/pods.ts";
import { createWebhookWorld } from "../../../support/webhook-world.ts";

const REVIEWS = 5_000;

const patched: string[] = [];
const world = await createWebhookWorld(
  { namespaceOf: async (name) => (name === "shop" ? MESHED : null) },
  {
    async patchCaBundle(kind, name, pem) {
      patched.push(`${kind} ${name} ${pem === world.rootsPem}`);
      return true;
    },
  },
);
let webhooks: Awaited<ReturnType<typeof world.open>>;
let agent: Agent;
beforeAll(async () => {
  webhooks = await world.open();
  agent = new Agent({ keepAlive: true, maxSockets: 64, ca: world.rootsPem, servername: "localhost" });
});
afterAll(async () => {
  agent.destroy();
  await webhooks.close();
});

interface Answer {
  readonly status: number;
  readonly response: Readonly<Record<string, unknown>>;
}

function ask(path: string, review: object, at: Address = webhooks.address): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const call = request({ ...at, path, method: "POST", headers, agent }, (answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
      answer.once("end", () => {
        resolve({ status: answer.statusCode!, response: answer.statusCode === 200 ? JSON.parse(text).response : {} });
      });
    });
    call.once("error", reject);
    call.end(JSON.stringify(review));
  });
}

function podOfBytes(bytes: number) {
  return podOf({ metadata: { annotations: { note: "x".repeat(bytes) } } });
}

describe("the webhooks", () => {
  test("are there under the paths that the configurations name, and have put their roots into these", async () => {
    expect(await ask("/inject?timeout=10s", admissionReview({ object: podOf() }))).toMatchObject({
      status: 200,
      response: { allowed: true, patchType: "JSONPatch" },
    });
    expect(await ask("/validate/pods?timeout=5s", admissionReview({ object: podOf() }))).toMatchObject({
      response: { allowed: true, warnings: expect.arrayContaining([expect.stringMatching(/^not-injected/)]) },
    });
    const kind = { group: "security.istio.io", version: "v1", kind: "AuthorizationPolicy" };
    expect(await ask("/validate/policies", admissionReview({ kind, object: {} }))).toMatchObject({
      response: { allowed: false, status: { code: 422 } },
    });
    expect(patched).toEqual(["mutating cardea-injector true", "validating cardea-validator true"]);
  });

  test("answer many reviews at once: each by its own uid, none lost, none admitted without its sidecar", async () => {
    const uids = Array.from({ length: REVIEWS }, (_, index) => `review-${index}`);
    const answers = await Promise.all(uids.map((uid) => ask("/inject", admissionReview({ uid, object: podOf() }))));
    expect(answers.map(({ response }) => response["uid"])).toEqual(uids);
    expect(answers.every(({ response }) => response["patchType"] === "JSONPatch")).toBe(true);
  }, 60_000);

  test("refuse a pod of ten megabytes by the body's size, and one of nine by nothing", async () => {
    expect(await ask("/inject", admissionReview({ object: podOfBytes(10_485_760) }))).toMatchObject({ status: 413 });
    expect(await ask("/inject", admissionReview({ object: podOfBytes(9_437_184) }))).toMatchObject({ status: 200 });
  });

  test("refuse pods of namespaces that are not known", async () => {
    expect(await ask("/inject", admissionReview({ namespace: "new", object: podOf() }))).toMatchObject({
      response: { allowed: false, status: { code: 503 } },
    });
  });

  test("a port that is taken is told", async () => {
    await expect(world.open(webhooks.address.port)).rejects.toMatchObject({ code: "unreachable" });
  });
});
