import { beforeEach, describe, expect, test } from "vitest";
import { tapAnswer } from "../../../src/cli/sidecar-tap.ts";
import { command } from "../../../src/cli/tap.ts";
import { formatTapEvent, parseTapEvent, takesBeginning, type TapEvent } from "../../../src/cli/tap-event.ts";
import type { FlowFilter } from "../../../src/control/flows/query.ts";
import { FLOW_LIMITS } from "../../../src/core/flow-limits.ts";
import { NO_TLS } from "../../../src/observe/flow.ts";
import type { Beginning, TapPoint } from "../../../src/proxy/record.ts";
import { makeFlowState } from "../../support/flow-state.ts";
import { keptTerminal, runCommand } from "../../support/kept-terminal.ts";
import { PAYMENTS, sampleFlow, WEB } from "../../support/sample-flow.ts";
import { createSimulatedClock } from "../../support/simulated-clock.ts";

const beginning: Beginning = {
  reporter: "destination",
  protocol: "http",
  pair: { source: WEB, destination: PAYMENTS, tls: { version: "TLSv1.3", group: null, sni: null } },
  method: "GET",
  host: "payments",
  path: "/admin/refunds",
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
};

let point: TapPoint;
let clock: ReturnType<typeof createSimulatedClock>;
beforeEach(() => {
  point = { tap: null };
  clock = createSimulatedClock(1_800_000_000_000);
});

function watch(): AsyncIterator<string> {
  const { status, body } = tapAnswer({ tapPoint: point, clock });
  expect(status).toBe(200);
  return (body as AsyncIterable<string>)[Symbol.asyncIterator]();
}

async function read(lines: AsyncIterator<string>): Promise<readonly TapEvent[]> {
  const { value } = (await lines.next()) as { value: string };
  return value
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => parseTapEvent(line)!);
}

describe("a sidecar that is watched", () => {
  test("tells of an exchange as it begins, once, and as it ends", async () => {
    const lines = watch();
    const [one, other] = [{}, {}];
    point.tap!.began(one, beginning);
    point.tap!.began(one, { ...beginning, path: "/other" });
    point.tap!.ended(other, sampleFlow({ id: "00000000000000aa" }));
    point.tap!.ended(one, sampleFlow());
    expect(await read(lines)).toMatchObject([
      { at: "began", exchange: 1, method: "GET", path: "/admin/refunds", source: { workload: "web" }, tls: "TLSv1.3" },
      { at: "ended", exchange: 2, flow: { id: "00000000000000aa" } },
      { at: "ended", exchange: 1, flow: { verdict: "denied", status: 403 } },
    ]);
  });

  test("holds for a slow reader what has a bound, and says how much was lost", async () => {
    const lines = watch();
    const line = JSON.stringify({ at: "ended", exchange: 1, flow: {} }).length;
    const many = Math.ceil(FLOW_LIMITS.tapWaitingBytesMax / line) + 10;
    for (let i = 0; i < many; i++) point.tap!.ended({}, sampleFlow());
    const events = await read(lines);
    const lost = events.at(-1)!;
    expect(lost.at).toBe("lost");
    expect(events.length - 1 + (lost.at === "lost" ? lost.count : 0)).toBe(many);
    point.tap!.ended({}, sampleFlow());
    expect(await read(lines)).toHaveLength(1);
  });

  test("says now and then that it is there, which is how a reader who has gone is noticed", async () => {
    const lines = watch();
    const next = lines.next();
    await clock.advance(2_500);
    expect((await next).value).toMatch(/^\n+$/);
  });

  test("takes so many readers, and forgets whoever leaves", async () => {
    const readers = Array.from({ length: FLOW_LIMITS.tapWatchersMax }, watch);
    expect(tapAnswer({ tapPoint: point, clock })).toMatchObject({ status: 503 });
    // A generator that was never begun has nothing to end.
    const begun = readers.map((reader) => reader.next());
    await clock.advance(10);
    await Promise.all(begun);
    await readers.pop()!.return!();
    expect(tapAnswer({ tapPoint: point, clock }).status).toBe(200);
    expect(point.tap).not.toBeNull();
  });

  test("is watched no more once the last has left", async () => {
    const lines = watch();
    const begun = lines.next();
    await clock.advance(10);
    await begun;
    await lines.return!();
    expect(point.tap).toBeNull();
  });
});

describe("what begins is shown", () => {
  const began = { at: "began", exchange: 1, ...beginning, source: WEB, destination: PAYMENTS, tls: null } as const;

  test.each<[FlowFilter, boolean]>([
    [{}, true],
    [{ names: ["web"] }, true],
    [{ sourceNames: ["payments"] }, false],
    [{ destinationNames: ["shop/payments"], method: "GET", pathPrefix: "/admin" }, true],
    [{ inNamespaces: ["bank"] }, false],
    [{ method: "POST" }, false],
    [{ pathPrefix: "/pay" }, false],
    [{ protocol: "tcp" }, false],
    [{ traceId: "00000000000000000000000000000001" }, false],
    // How it comes out nobody knows yet.
    [{ verdicts: ["denied"] }, false],
    [{ statusFrom: 200, statusTo: 299 }, false],
    [{ dryRun: "any" }, false],
    [{ isAudited: true }, false],
  ])("where %j is asked for: %s", (filter, expected) => {
    expect(takesBeginning(filter, began)).toBe(expected);
  });
});

describe("a line", () => {
  test("says in Linkerd's words who asked whom for what, and how it ended", () => {
    const began = {
      at: "began",
      exchange: 7,
      ...beginning,
      source: WEB,
      destination: PAYMENTS,
      tls: "TLSv1.3",
    } as const;
    expect(formatTapEvent(began, false)).toBe(
      "req id=7 proxy=in src=shop/web dst=shop/payments:8080 tls=TLSv1.3 :method=GET :authority=payments :path=/admin/refunds",
    );
    expect(formatTapEvent({ at: "ended", exchange: 7, flow: sampleFlow() }, false)).toBe(
      "end id=7 proxy=in src=shop/web dst=shop/payments:8080 verdict=denied :status=403 duration=0.4ms received=0B sent=0B reason=no-allow-rule-matched id=9f1c2a7be03d4455",
    );
    expect(formatTapEvent({ at: "lost", count: 3 }, false)).toContain("3 more");
  });

  test("holds nothing that acts on a terminal", () => {
    const hostile = { ...beginning, path: "/\u001b[2J\n\u202e", host: "a\u0007", method: "G\u0000" };
    const began = { at: "began", exchange: 1, ...hostile, source: WEB, destination: PAYMENTS, tls: null } as const;
    expect(formatTapEvent(began, false)).toMatch(/^[ -~]+$/);
    const flow = sampleFlow({ tls: NO_TLS, source: { ...WEB, workload: "w\u001b[31m" } });
    expect(formatTapEvent({ at: "ended", exchange: 1, flow }, false)).toMatch(/^[ -~]+$/);
  });

  test.each(["", "{", "null", "[]", '{"at":"else"}', '{"at":"ended","flow":{}}', '{"at":"ended"}'])(
    "%j is passed over",
    (line) => {
      expect(parseTapEvent(line)).toBeNull();
    },
  );
});

test("without a mesh that runs there is nothing to watch: exit code 3", async () => {
  const state = makeFlowState();
  const terminal = keptTerminal();
  expect(await runCommand(command, ["orders", "--state", state.directory], terminal)).toBe(3);
  expect(terminal.err.join("\n")).toContain("no mesh runs");
  state.remove();
});
