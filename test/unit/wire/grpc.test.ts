import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeGrpcMessage, GrpcMessageReader } from "../../../src/wire/grpc-message.ts";
import { decodeGrpcMessage, formatGrpcTimeout, GRPC, grpcCodeOfHttp } from "../../../src/wire/grpc-status.ts";

const BYTES_MAX = 1_000;

describe("messages", () => {
  test("come whole, however they were cut up", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 });
    fc.assert(
      fc.property(messages, fc.array(fc.nat(400)), (sent, cuts) => {
        const bytes = Buffer.concat(sent.map((each) => encodeGrpcMessage(Buffer.from(each))));
        const reader = new GrpcMessageReader(BYTES_MAX);
        const received: string[] = [];
        for (const piece of pieces(bytes, cuts)) {
          reader.feed(piece);
          for (let next = reader.next(); next.at === "message"; next = reader.next()) {
            received.push(next.message.toString("hex"));
          }
        }
        expect(received).toEqual(sent.map((each) => Buffer.from(each).toString("hex")));
        expect(reader.isWithinMessage).toBe(false);
      }),
      { seed: 21, numRuns: 500 },
    );
  });

  test("of the largest size are taken", () => {
    const reader = new GrpcMessageReader(BYTES_MAX);
    reader.feed(encodeGrpcMessage(Buffer.alloc(BYTES_MAX)));
    expect(reader.next()).toEqual({ at: "message", message: Buffer.alloc(BYTES_MAX) });
  });

  test.each([
    ["in its prefix", "00000000"],
    ["before its first octet", "0000000003"],
    ["before its last octet", "00000000036162"],
  ])("cut short %s are awaited, and seen to be", (_what, hex) => {
    const reader = new GrpcMessageReader(BYTES_MAX);
    reader.feed(Buffer.from(hex, "hex"));
    expect(reader.next()).toEqual({ at: "part" });
    expect(reader.isWithinMessage).toBe(true);
  });

  test.each([
    ["compressed", "010000000161", GRPC.INTERNAL],
    ["with an unknown flag", "020000000161", GRPC.INTERNAL],
    ["with all flags", "ff00000000", GRPC.INTERNAL],
    ["one octet too long, before any of it has come", "00000003e9", GRPC.RESOURCE_EXHAUSTED],
    ["as long as can be said", "00ffffffff", GRPC.RESOURCE_EXHAUSTED],
    ["of another protocol", Buffer.from("HTTP/1.1 400").toString("hex"), GRPC.INTERNAL],
  ])("%s are refused", (_what, hex, code) => {
    const reader = new GrpcMessageReader(BYTES_MAX);
    reader.feed(Buffer.from(hex, "hex"));
    expect(reader.next()).toMatchObject({ at: "refused", status: { code } });
  });
});

describe("statuses", () => {
  test.each([
    [400, GRPC.INTERNAL],
    [401, GRPC.UNAUTHENTICATED],
    [403, GRPC.PERMISSION_DENIED],
    [404, GRPC.UNIMPLEMENTED],
    [429, GRPC.UNAVAILABLE],
    [502, GRPC.UNAVAILABLE],
    [503, GRPC.UNAVAILABLE],
    [504, GRPC.UNAVAILABLE],
    [200, GRPC.UNKNOWN],
    [302, GRPC.UNKNOWN],
    [500, GRPC.UNKNOWN],
  ])("HTTP's %i without a status stands for %i", (http, code) => {
    expect(grpcCodeOfHttp(http)).toBe(code);
  });

  test.each([
    ["no%20more", "no more"],
    ["50% off", "50% off"],
    ["%C3%BC", "ü"],
    ["%ff", "%ff"],
    ["%", "%"],
    ["", ""],
  ])("the message %j says %j", (value, text) => {
    expect(decodeGrpcMessage(value)).toBe(text);
  });

  test.each([
    [10_000, "10000m"],
    [0.2, "1m"],
    [-5, "1m"],
    [99_999_999, "99999999m"],
    [100_000_000, "100000S"],
  ])("a time-out of %f ms is told as %s", (ms, text) => {
    expect(formatGrpcTimeout(ms)).toBe(text);
  });
});

function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].toSorted((a, b) => a - b);
  return places.slice(1).map((end, index) => Buffer.from(bytes.subarray(places[index], end)));
}
