import { describe, expect, test } from "vitest";
import { admissionRoute, type Review } from "../../../../src/control/admission/admission-route.ts";
import { admissionReview, bytesOf } from "../../../support/admission-review.ts";
import { createKeptLog } from "../../../support/kept-log.ts";

const UID = "705ab4f5-6393-11e8-b7cc-42010a800002";

function setUp(review: Review) {
  const logger = createKeptLog();
  const outcomes: string[] = [];
  const observer = { reviewed: (_path: string, outcome: string) => void outcomes.push(outcome) };
  const route = admissionRoute({ path: "/inject", review, observer, logger });
  const ask = async (body: Buffer) => {
    const answer = await route.answer(body);
    return { ...answer, review: answer.status === 200 ? JSON.parse(answer.body) : null };
  };
  return { ask, outcomes, logger };
}

describe("a webhook answers", () => {
  test("by a review of its own with the uid that it was asked with", async () => {
    const { ask, outcomes } = setUp(() => ({ allowed: true, warnings: [] }));
    const { status, contentType, review } = await ask(bytesOf(admissionReview({})));
    expect([status, contentType]).toEqual([200, "application/json"]);
    expect(review).toEqual({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: { uid: UID, allowed: true },
    });
    expect(outcomes).toEqual(["admitted"]);
  });

  test("with a patch in base64", async () => {
    const patch = [{ op: "add", path: "/metadata/labels", value: { a: "b" } }] as const;
    const { ask, outcomes } = setUp(() => ({ allowed: true, warnings: [], patch }));
    const { response } = (await ask(bytesOf(admissionReview({})))).review;
    expect(response.patchType).toBe("JSONPatch");
    expect(JSON.parse(Buffer.from(response.patch, "base64").toString())).toEqual(patch);
    expect(outcomes).toEqual(["patched"]);
  });

  test("without a patch where there is nothing to change", async () => {
    const { ask, outcomes } = setUp(() => ({ allowed: true, warnings: [], patch: [] }));
    expect((await ask(bytesOf(admissionReview({})))).review.response).not.toHaveProperty("patchType");
    expect(outcomes).toEqual(["admitted"]);
  });
});

describe("a webhook refuses", () => {
  test.each([
    [400, "BadRequest"],
    [403, "Forbidden"],
    [422, "Invalid"],
    [503, "ServiceUnavailable"],
  ] as const)("with %d as %s, the reason in words, and logs it", async (code, reason) => {
    const { ask, outcomes, logger } = setUp(() => ({ allowed: false, code, message: "no", warnings: [] }));
    const { response } = (await ask(bytesOf(admissionReview({})))).review;
    expect(response).toEqual({ uid: UID, allowed: false, status: { status: "Failure", code, reason, message: "no" } });
    expect(outcomes).toEqual(["refused"]);
    expect(logger.lines).toMatchObject([
      { event: "admission-refused", fields: { workload: "Pod shop/(no name yet)" } },
    ]);
  });

  test("what it was not asked in full, by the fault", async () => {
    const { ask } = setUp(() => expect.unreachable());
    const { response } = (await ask(bytesOf(admissionReview({ operation: "DELETE" })))).review;
    expect(response).toMatchObject({ uid: UID, allowed: false, status: { code: 400 } });
  });

  test("an unreadable body by its HTTP status", async () => {
    const { ask, outcomes } = setUp(() => expect.unreachable());
    expect(await ask(Buffer.from("?"))).toMatchObject({ status: 400, contentType: "text/plain; charset=utf-8" });
    expect(outcomes).toEqual(["unreadable"]);
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("secret text of a fault");
      },
    ],
    ["rejects", () => Promise.reject(new Error("secret text of a fault"))],
  ])("when its own code %s, and keeps the fault to its log", async (_how, review) => {
    const { ask, outcomes, logger } = setUp(review);
    const { response } = (await ask(bytesOf(admissionReview({})))).review;
    expect(response).toMatchObject({ allowed: false, status: { code: 503 } });
    expect(JSON.stringify(response)).not.toContain("secret");
    expect(logger.events()).toEqual(["admission-failed"]);
    expect(outcomes).toEqual(["failed"]);
  });
});

async function answerWith(warnings: readonly string[]): Promise<readonly string[]> {
  const { ask } = setUp(() => ({ allowed: true, warnings }));
  return (await ask(bytesOf(admissionReview({})))).review.response.warnings;
}

describe("what is said stays within the API server's bounds", () => {
  test("a long warning is cut", async () => {
    const [warning] = await answerWith(["w".repeat(1_000)]);
    expect(warning).toHaveLength(256);
    expect(warning).toMatch(/…$/);
  });

  test("of many the number is told, and 4,096 characters are not passed", async () => {
    const warnings = await answerWith(Array.from({ length: 500 }, () => "w".repeat(300)));
    expect(warnings.at(-1)).toMatch(/^\d+ more; cardea lint shows all$/);
    expect(warnings.join("").length).toBeLessThanOrEqual(4_096);
  });

  test("a warning is one line: it travels in a header", async () => {
    expect(await answerWith(["a\r\nset-cookie: b"])).toEqual(["a set-cookie: b"]);
  });

  test("a message of a megabyte is cut", async () => {
    const { ask } = setUp(() => ({ allowed: false, code: 422, message: "m".repeat(1_048_576), warnings: [] }));
    expect((await ask(bytesOf(admissionReview({})))).review.response.status.message).toHaveLength(8_192);
  });
});
