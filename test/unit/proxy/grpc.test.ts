import { describe, expect, it } from "vitest";
import { grpcOutcome, grpcStatusIn, isGrpcCall } from "../../../src/proxy/grpc.ts";
import { makeLocalAnswer } from "../../../src/proxy/local-answer.ts";
import { parseRequestHead } from "../../../src/wire/http1-head.ts";

describe("a gRPC call", () => {
  it.each(["application/grpc", "application/grpc+proto", "Application/gRPC; charset=x", "application/grpc ;x"])(
    "is a POST of %s",
    (type) => expect(isCall("POST", `Content-Type: ${type}\r\n`)).toBe(true),
  );

  it.each([
    ["a GET", "GET", "Content-Type: application/grpc\r\n"],
    ["gRPC-Web", "POST", "Content-Type: application/grpc-web+proto\r\n"],
    ["another type that begins so", "POST", "Content-Type: application/grpcs\r\n"],
    ["JSON", "POST", "Content-Type: application/json\r\n"],
    ["what names no type", "POST", ""],
    ["what says so elsewhere", "POST", "Accept: application/grpc\r\n"],
    ["what says so second", "POST", "Content-Type: text/plain\r\nContent-Type: application/grpc\r\n"],
  ])("is not %s", (_name, method, fields) => expect(isCall(method, fields)).toBe(false));
});

describe("a gRPC status", () => {
  it.each([
    ["0", 0],
    ["16", 16],
    ["17", 2],
    ["-1", 2],
    ["", 2],
    ["1e1", 2],
    ["007", 2],
  ])("%j is read as %s", (text, status) => expect(grpcStatusIn(["Grpc-Status", text])).toBe(status));

  it("may not be there", () => expect(grpcStatusIn(["grpc-message", "0"])).toBeNull());

  it("is UNKNOWN when an answer ends without one, and what a failure means when that ended it", () => {
    expect(grpcOutcome(null, null)).toBe(2);
    expect(grpcOutcome(null, "downstream-reset")).toBe(1);
    expect(grpcOutcome(5, null)).toBe(5);
  });
});

describe("an answer of our own to a gRPC call", () => {
  it("is a status without a body, and for a denial its id", () => {
    const { status, answer, body } = makeLocalAnswer({
      code: "denied-by-policy",
      denialId: "0123",
      method: "POST",
      isGrpc: true,
    });
    expect(status).toBe(200);
    expect(body).toHaveLength(0);
    expect(answer.headers).toEqual([
      "content-type",
      "application/grpc",
      "grpc-status",
      "7",
      "grpc-message",
      "RBAC: access denied",
      "x-cardea-denial",
      "0123",
    ]);
  });

  it("is as before to any other request", () => {
    const cause = { code: "denied-by-policy", denialId: null, method: "POST", isGrpc: false } as const;
    expect(makeLocalAnswer(cause)).toMatchObject({ status: 403, answer: { headers: ["content-type", "text/plain"] } });
  });
});

function isCall(method: string, fields: string): boolean {
  const reading = parseRequestHead(Buffer.from(`${method} / HTTP/1.1\r\nHost: o\r\n${fields}\r\n`));
  if (reading.at !== "head") throw new Error("the head is not whole");
  return isGrpcCall(reading.head);
}
