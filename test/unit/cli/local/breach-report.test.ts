import { expect, test } from "vitest";
import { ATTEMPTS } from "../../../../src/cli/local/breach.ts";
import { pickDenial } from "../../../../src/cli/local/breach-report.ts";
import { sampleFlow, WEB } from "../../../support/sample-flow.ts";

const LOCAL_PORT = 50_000;
/** A connection of its own, which has no trace. */
const TCP = { protocol: "tcp", traceId: null, spanId: null, parentSpanId: null } as const;
const OWN = sampleFlow({
  id: "aaaaaaaaaaaaaaaa",
  reporter: "source",
  verdict: "allowed",
  reason: "service-registered",
  ...TCP,
  source: { ...WEB, port: LOCAL_PORT },
  upstreamPort: 60_000,
});
const THEIRS = sampleFlow({ ...TCP, id: "bbbbbbbbbbbbbbbb", source: { ...WEB, port: 60_000 } });
const OTHER = sampleFlow({ ...TCP, id: "cccccccccccccccc", source: { ...WEB, port: 60_001 } });

test("a denial whose id the caller was told is found by it", () => {
  const answer = "HTTP/1.1 403 Forbidden\r\nx-cardea-denial: cccccccccccccccc\r\n\r\n";
  expect(pickDenial({ answer, localPort: LOCAL_PORT }, [OWN, THEIRS, OTHER])?.id).toBe(OTHER.id);
});

test("an id that is told and not recorded is not made up for by another", () => {
  const answer = "HTTP/1.1 403 Forbidden\r\nx-cardea-denial: dddddddddddddddd\r\n\r\n";
  expect(pickDenial({ answer, localPort: LOCAL_PORT }, [OWN, THEIRS])).toBeNull();
});

test("a connection that was closed is found over both sidecars, by their ports", () => {
  expect(pickDenial({ answer: "", localPort: LOCAL_PORT }, [OTHER, OWN, THEIRS])?.id).toBe(THEIRS.id);
});

test("what our own sidecar refused is found by our port", () => {
  const refused = { ...OWN, verdict: "error", reason: "no-route" } as const;
  expect(pickDenial({ answer: "", localPort: LOCAL_PORT }, [OTHER, refused])?.id).toBe(refused.id);
});

test.each([
  ["nothing of ours", [OTHER, THEIRS]],
  ["only what was allowed", [OWN]],
])("with %s there is no denial", (_, records) => {
  expect(pickDenial({ answer: "", localPort: LOCAL_PORT }, records)).toBeNull();
});

test("every kind of attack that is promised is played", () => {
  const names = ATTEMPTS.map((attempt) => attempt.name.split(" ")[0]);
  expect(new Set(names)).toEqual(
    new Set(["admin-path", "ledger-directly", "forged-identity", "foreign-certificate", "plaintext", "path-trick"]),
  );
});

test.each([
  ["HTTP/1.1 200 OK\r\n\r\n", true],
  ["HTTP/1.1 201 Created\r\n\r\n", true],
  // It got as far as the app, which has no such page.
  ["HTTP/1.1 404 Not Found\r\n\r\n", true],
  ["HTTP/1.1 403 Forbidden\r\n\r\n", false],
  ["HTTP/1.1 400 Bad Request\r\n\r\n", false],
  ["", false],
])("an HTTP attempt that is answered %j has succeeded: %s", (answer, succeeded) => {
  for (const attempt of ATTEMPTS.filter(({ name }) => name !== "ledger-directly"))
    expect(attempt.succeeded(answer), attempt.name).toBe(succeeded);
});

test("a tunnel alone is no success, the ledger's word is", () => {
  const ledger = ATTEMPTS.find(({ name }) => name === "ledger-directly");
  expect(ledger?.succeeded("HTTP/1.1 200 Connection Established\r\n\r\n")).toBe(false);
  expect(ledger?.succeeded("HTTP/1.1 200 Connection Established\r\n\r\nBALANCE 4200\n")).toBe(true);
});
