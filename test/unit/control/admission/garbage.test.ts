import { describe, expect, test } from "vitest";
import { admissionRoute } from "../../../../src/control/admission/admission-route.ts";
import type { PodWorld } from "../../../../src/control/admission/pod-world.ts";
import { reviewInjection } from "../../../../src/control/admission/review-injection.ts";
import { reviewPod } from "../../../../src/control/admission/review-pod.ts";
import { DEFAULT_INJECT_SETTINGS } from "../../../../src/control/inject/settings.ts";
import { admissionReview, bytesOf } from "../../../support/admission-review.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { MESHED, podOf } from "../../../support/pods.ts";
import { createSeededRandom } from "../../../support/simulated-clock.ts";

// Whatever comes in the place of a review: it is answered, and no pod of the mesh goes without its sidecar by it.

const world: PodWorld = {
  settings: () => DEFAULT_INJECT_SETTINGS,
  bypassMode: () => "enforce",
  namespaceOf: async (name) => (name === "shop" ? MESHED : null),
};
const outcomes = new Map<string, number>();
const common = {
  observer: { reviewed: (_path: string, is: string) => void outcomes.set(is, (outcomes.get(is) ?? 0) + 1) },
  logger: createKeptLog(),
};
const inject = admissionRoute({ ...common, path: "/inject", review: (request) => reviewInjection(request, world) });
const validate = admissionRoute({ ...common, path: "/pods", review: (request) => reviewPod(request, world) });

interface Response {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patch?: string;
  readonly status?: { readonly code: number; readonly message: string };
}

async function ask(
  body: Buffer,
  route = inject,
): Promise<{ readonly status: number; readonly response: Response | null }> {
  const answer = await route.answer(body);
  if (answer.status !== 200) return { status: answer.status, response: null };
  return { status: 200, response: (JSON.parse(answer.body) as { response: Response }).response };
}

test("a review that was damaged anywhere lets no pod go without its sidecar", async () => {
  const random = createSeededRandom(20_261_122);
  const whole = bytesOf(admissionReview({ object: podOf() }));
  for (let round = 0; round < 1_500; round += 1) {
    const { status, response } = await ask(damaged(whole, () => random.float()));
    expect([200, 400]).toContain(status);
    // Allowed without a patch would be a pod without a sidecar.
    if (response?.allowed === true) expect(response.patch).toBeDefined();
  }
  // The damage was of all kinds.
  for (const outcome of ["unreadable", "refused", "patched"]) expect(outcomes.get(outcome) ?? 0).toBeGreaterThan(20);
});

test("a pod with an error that was damaged anywhere does not pass the validator, unless the damage took the error out", async () => {
  const random = createSeededRandom(7);
  const bad = podOf({ spec: { hostPID: true } });
  const whole = bytesOf(admissionReview({ object: bad }));
  for (let round = 0; round < 500; round += 1) {
    const { response } = await ask(
      cut(whole, () => random.float()),
      validate,
    );
    expect(response).toBeNull();
  }
  expect((await ask(whole, validate)).response).toMatchObject({ allowed: false, status: { code: 403 } });
});

describe("members that are there twice: the last one counts, as it does for the API server", () => {
  const text = JSON.stringify(admissionReview({ object: podOf() }));
  const doubled = (member: string, value: string): Buffer =>
    Buffer.from(text.replace(`"${member}":`, `"${member}":${value},"${member}":`));

  test("of the object", async () => {
    expect((await ask(doubled("object", "null"))).response).toMatchObject({ allowed: true, patch: expect.anything() });
  });

  test("of the operation", async () => {
    const body = Buffer.from(text.replace('"dryRun":false', '"dryRun":false,"operation":"DELETE"'));
    expect((await ask(body)).response).toMatchObject({ allowed: false, status: { code: 400 } });
  });

  test("of the namespace: one that nobody knows is no way around", async () => {
    const body = Buffer.from(text.replace('"dryRun":false', '"dryRun":false,"namespace":"elsewhere"'));
    expect((await ask(body)).response).toMatchObject({ allowed: false, status: { code: 503 } });
  });

  test("of the uid", async () => {
    expect((await ask(doubled("uid", '"other"'))).response?.uid).toBe("705ab4f5-6393-11e8-b7cc-42010a800002");
  });
});

describe("what this webhook was not made for is refused:", () => {
  test.each<[string, Record<string, unknown>]>([
    ["a kind that nobody knows", { kind: { group: "x.dev", version: "v9", kind: "Thing" } }],
    ["a Pod of another group", { kind: { group: "x.dev", version: "v1", kind: "Pod" } }],
    ["a Deployment", { kind: { group: "apps", version: "v1", kind: "Deployment" } }],
    ["no kind", { kind: undefined }],
    ["a subresource", { subResource: "exec" }],
    ["a change", { operation: "UPDATE", oldObject: podOf() }],
    ["a pod that is a list of containers", { object: { spec: [] } }],
    ["containers that are a text", { object: { metadata: {}, spec: { containers: "app" } } }],
    ["a container that is null", { object: { metadata: {}, spec: { containers: [null] } } }],
    ["annotations that are a list", { object: podOf({ metadata: { annotations: [] } }) }],
    ["labels that are numbers", { object: podOf({ metadata: { labels: { a: 1 } } }) }],
  ])("%s", async (_what, fields) => {
    const { response } = await ask(bytesOf(admissionReview(fields)));
    expect(response?.allowed).toBe(false);
  });
});

describe("annotations that contradict each other are refused by name:", () => {
  test.each<[string, Record<string, string>, RegExp]>([
    [
      "two meshes' words",
      { "sidecar.istio.io/inject": "true", "linkerd.io/inject": "disabled" },
      /says yes by sidecar\.istio\.io\/inject and no by linkerd\.io\/inject/,
    ],
    ["a word that is none", { "cardea.dev/inject": "perhaps" }, /cardea\.dev\/inject.*enabled or disabled/],
  ])("%s", async (_what, annotations, message) => {
    const { response } = await ask(bytesOf(admissionReview({ object: podOf({ metadata: { annotations } }) })));
    expect(response).toMatchObject({ allowed: false, status: { code: 422 } });
    expect(response?.status?.message).toMatch(message);
  });
});

test("a pod of nine megabytes is answered whole, in its own time and nobody else's", async () => {
  const env = Array.from({ length: 60_000 }, (_, index) => ({ name: `V${index}`, value: "x".repeat(120) }));
  const body = bytesOf(admissionReview({ object: podOf({ container: { env } }) }));
  expect(body.length).toBeGreaterThan(8_000_000);
  const { response } = await ask(body);
  expect(response).toMatchObject({ allowed: true });
  // The patch is of what is ours; it does not send nine megabytes back.
  expect(response!.patch!.length).toBeLessThan(100_000);
});

function damaged(whole: Buffer, float: () => number): Buffer {
  const ways = [cut, flipped, withoutPart, withPartTwice, withWord];
  return ways[Math.floor(float() * ways.length)]!(whole, float);
}

function cut(whole: Buffer, float: () => number): Buffer {
  return whole.subarray(0, Math.floor(float() * (whole.length - 1)));
}

function flipped(whole: Buffer, float: () => number): Buffer {
  const copy = Buffer.from(whole);
  copy[Math.floor(float() * copy.length)]! ^= 1 << Math.floor(float() * 8);
  return copy;
}

function withoutPart(whole: Buffer, float: () => number): Buffer {
  const [from, to] = part(whole, float);
  return Buffer.concat([whole.subarray(0, from), whole.subarray(to)]);
}

function withPartTwice(whole: Buffer, float: () => number): Buffer {
  const [from, to] = part(whole, float);
  return Buffer.concat([whole.subarray(0, to), whole.subarray(from)]);
}

const WORDS = ["null", "[]", "{}", "-1", '"x"', "1e999", "true", '"\\u0000"', '"__proto__"'];

/** In the place of some value. */
function withWord(whole: Buffer, float: () => number): Buffer {
  const text = whole.toString();
  const values = [...text.matchAll(/:(?:"[^"]*"|null|true|false|\d+)/g)];
  const value = values[Math.floor(float() * values.length)]!;
  const word = WORDS[Math.floor(float() * WORDS.length)]!;
  return Buffer.from(`${text.slice(0, value.index + 1)}${word}${text.slice(value.index + value[0].length)}`);
}

function part(whole: Buffer, float: () => number): readonly [number, number] {
  const from = Math.floor(float() * whole.length);
  return [from, Math.min(whole.length, from + Math.floor(float() * 40))];
}
