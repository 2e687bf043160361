import { describe, expect, test } from "vitest";
import { readReview } from "../../../../src/control/admission/review.ts";
import { admissionReview, bytesOf } from "../../../support/admission-review.ts";

const UID = "705ab4f5-6393-11e8-b7cc-42010a800002";

describe("a review that can be read", () => {
  test("is a pod to be created, by a controller, without a name as yet", () => {
    const read = readReview(bytesOf(admissionReview({})));
    expect(read).toMatchObject({ is: "request", request: { uid: UID, operation: "CREATE", name: "", dryRun: false } });
  });

  test("is an ephemeral container that joins a pod", () => {
    const pod = { metadata: { name: "ledger-0" }, spec: {} };
    const request = { operation: "UPDATE", subResource: "ephemeralcontainers", object: pod, oldObject: pod };
    const read = readReview(bytesOf(admissionReview({ ...request, name: "ledger-0" })));
    expect(read).toMatchObject({ is: "request", request: { subResource: "ephemeralcontainers", oldObject: pod } });
  });

  test("is a dry run", () => {
    expect(readReview(bytesOf(admissionReview({ dryRun: true })))).toMatchObject({ request: { dryRun: true } });
  });

  test("brackets within texts are no nesting", () => {
    const name = '"[{'.repeat(500);
    expect(readReview(bytesOf(admissionReview({ object: { note: name } })))).toMatchObject({ is: "request" });
  });
});

describe("a body that is no review for us gets an HTTP status, since no uid is sure", () => {
  const answer = admissionReview({});
  test.each<[string, Buffer, RegExp]>([
    ["nothing", Buffer.alloc(0), /not JSON/],
    ["no JSON", Buffer.from("kind: AdmissionReview"), /not JSON/],
    ["half of it", bytesOf(answer).subarray(0, 200), /not JSON/],
    ["octets that are no UTF-8", Buffer.from([0x22, 0xff, 0x22]), /UTF-8/],
    ["a byte order mark", Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytesOf(answer)]), /not JSON/],
    ["a list", bytesOf([answer]), /found something else/],
    ["null", bytesOf(null), /found something else/],
    ["another kind", bytesOf({ kind: "Pod", apiVersion: "v1" }), /found "Pod" of "v1"/],
    ["an older version", bytesOf({ ...answer, apiVersion: "admission.k8s.io/v1beta1" }), /v1beta1/],
    ["no request", bytesOf({ kind: "AdmissionReview", apiVersion: "admission.k8s.io/v1" }), /request\.uid/],
    ["no uid", bytesOf(admissionReview({ uid: undefined })), /request\.uid/],
    ["an empty uid", bytesOf(admissionReview({ uid: "" })), /request\.uid/],
    ["a uid that is a number", bytesOf(admissionReview({ uid: 7 })), /request\.uid/],
    ["a uid with a line feed", bytesOf(admissionReview({ uid: "a\nb" })), /request\.uid/],
    ["a uid of a megabyte", bytesOf(admissionReview({ uid: "a".repeat(1_048_576) })), /request\.uid/],
    ["five million brackets", Buffer.alloc(5_000_000, "["), /nested deeper/],
    ["nesting within the object", Buffer.from(`{"request":${'{"a":'.repeat(100)}1${"}".repeat(101)}`), /nested deeper/],
  ])("%s", (_name, body, message) => {
    const read = readReview(body);
    expect(read).toMatchObject({ is: "unreadable", status: 400 });
    expect(read).toHaveProperty("message", expect.stringMatching(message));
  });

  test("its fault never quotes what was sent", () => {
    expect(JSON.stringify(readReview(Buffer.from('{"password": hunter2')))).not.toContain("hunter2");
  });
});

describe("a request with a fault is answered by its uid", () => {
  test.each<[string, Record<string, unknown>, RegExp]>([
    ["DELETE", { operation: "DELETE" }, /operation: expected CREATE or UPDATE, found "DELETE"/],
    ["CONNECT", { operation: "CONNECT" }, /found "CONNECT"/],
    ["no operation", { operation: undefined }, /found ""/],
    ["an operation that is a list", { operation: ["CREATE"] }, /operation: expected a text/],
    ["no object", { object: undefined }, /request\.object/],
    ["an object that is null", { object: null }, /request\.object/],
    ["an object that is a list", { object: [] }, /request\.object/],
    ["an object that is a text", { object: "pod" }, /request\.object/],
    ["an old object that is a text", { oldObject: "pod" }, /request\.oldObject/],
    ["an update without what was", { operation: "UPDATE" }, /request\.oldObject: is required/],
    ["a dry run that is a text", { dryRun: "false" }, /request\.dryRun/],
    ["a kind that is a number", { kind: { group: "", version: "v1", kind: 1 } }, /request\.kind\.kind/],
    ["a namespace of a megabyte", { namespace: "n".repeat(1_048_576) }, /request\.namespace/],
    ["a name that is an object", { name: {} }, /request\.name/],
  ])("%s", (_name, fields, message) => {
    const read = readReview(bytesOf(admissionReview(fields)));
    expect(read).toMatchObject({ is: "faulty", uid: UID });
    expect(read).toHaveProperty("message", expect.stringMatching(message));
  });

  test("a key of the prototype is a key like any other", () => {
    const body = Buffer.from(JSON.stringify(admissionReview({})).replace('"object":', '"__proto__":'));
    expect(readReview(body)).toMatchObject({ is: "faulty", message: "request.object: expected an object" });
  });
});
