import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isCutText } from "../../../src/observe/json-text.ts";
import { FLOW_FIELDS, type FlowField, type FlowRecord, NO_TLS } from "../../../src/observe/flow.ts";
import { readLogsRequest } from "../../../src/observe/otlp-flow-reader.ts";
import { flowsRequest } from "../../support/flows-request.ts";
import { libraryType } from "../../support/proto-arbitraries.ts";
import { sampleFlow } from "../../support/sample-flow.ts";

const REQUEST = "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest";

describe("flows as OTLP logs", () => {
  test.each(["grouped", "flat"] as const)("come back as they were, whatever is in their texts: %s", (form) => {
    fc.assert(
      fc.property(fc.array(anyFlow(), { maxLength: 5 }), (flows) => {
        expect(readAll(flowsRequest(flows, form)).flows).toEqual(flows);
      }),
    );
  });

  test("come back as they were after thousands of hosts, which nobody remembers for ever", () => {
    const hosts = Array.from({ length: 5_000 }, (_, i) => sampleFlow({ host: `h${i % 2_500}`, status: i % 7 }));
    expect(readAll(flowsRequest(hosts)).flows).toEqual(hosts);
  });

  test("come back with the same objects for the same peers", () => {
    const { flows } = readAll(flowsRequest([sampleFlow(), sampleFlow({ id: "9f1c2a7be03d4456", status: 500 })]));
    expect(flows[1]!.source).toBe(flows[0]!.source);
    expect(flows[1]!.tls).toBe(flows[0]!.tls);
  });

  test("have every field of the table under its name, and its type, as an independent library reads them", () => {
    const [record] = libraryRecords(flowsRequest([filledFlow()], "flat"));
    const names = record!.attributes.map(({ key }) => key).toSorted();
    const own = new Set(["Timestamp", "TraceId", "SpanId"]);
    const told = Object.values(FLOW_FIELDS).map(({ otel }: FlowField) => otel);
    expect(names).toEqual(told.filter((name) => !own.has(name)).toSorted());
    const valueOf = (name: string) => record!.attributes.find(({ key }) => key === name)!.value;
    expect(valueOf("cardea.verdict")).toMatchObject({ value: "stringValue", stringValue: "denied" });
    expect(valueOf("http.response.status_code")).toMatchObject({ value: "intValue", intValue: 403 });
    expect(valueOf("cardea.duration_ms")).toMatchObject({ value: "doubleValue", doubleValue: 0.412 });
    expect(valueOf("cardea.destination.labels")).toMatchObject({
      kvlistValue: { values: [{ key: "app", value: { stringValue: "payments" } }, { key: "version" }] },
    });
    expect(record).toMatchObject({ eventName: "cardea.flow", severityNumber: "SEVERITY_NUMBER_WARN" });
    expect(Buffer.from(record!.traceId).toString("hex")).toBe("4bf92f3577b34da6a3ce929d0e0e4736");
  });

  test("say what they have in common once, by their scope, and nothing twice", () => {
    const [flat] = libraryRecords(flowsRequest([filledFlow()], "flat"));
    const { resourceLogs } = libraryType(REQUEST).deserialize(flowsRequest([filledFlow()])) as LibraryRequest;
    const [{ scope, logRecords }] = resourceLogs[0]!.scopeLogs;
    const all = [...scope.attributes, ...logRecords[0]!.attributes].map(({ key }) => key);
    expect(all.toSorted()).toEqual(flat!.attributes.map(({ key }) => key).toSorted());
    expect(scope.attributes.map(({ key }) => key)).toContain("cardea.source.principal");
    expect(scope.attributes.map(({ key }) => key)).not.toContain("source.port");
  });

  test.each([
    ["allowed", "INFO"],
    ["denied", "WARN"],
    ["would-deny", "WARN"],
    ["error", "ERROR"],
  ] as const)("%s has severity %s", (verdict, severityText) => {
    expect(libraryRecords(flowsRequest([sampleFlow({ verdict })]))[0]).toMatchObject({ severityText });
  });

  test("leave out what is not known", () => {
    const names = libraryRecords(flowsRequest([sampleFlow({ tls: NO_TLS, path: null })], "flat"))[0]!.attributes;
    expect(names.filter(({ key }) => key.startsWith("tls.") || key === "url.path")).toEqual([]);
  });

  test("have texts that are too long cut, with a mark", () => {
    const { flows } = readAll(flowsRequest([sampleFlow({ path: `/${"x".repeat(9_000)}` })]));
    expect(isCutText(flows[0]!.path!)).toBe(true);
  });
});

describe("a request that is not ours", () => {
  test("in any order of fields is read the same", () => {
    const message = libraryType(REQUEST).deserialize(flowsRequest([filledFlow()], "flat")) as LibraryRequest;
    message.resourceLogs[0]!.scopeLogs[0].logRecords[0]!.attributes.reverse();
    expect(readAll(libraryType(REQUEST).serialize(message)).flows).toEqual([filledFlow()]);
  });

  test.each(Object.entries(FLOW_FIELDS).filter(([, field]) => !field.isNullable && field.otel !== "Timestamp"))(
    "without %s has no flow",
    (_name, { otel }) => {
      const message = libraryType(REQUEST).deserialize(flowsRequest([sampleFlow()], "flat")) as LibraryRequest;
      const [record] = message.resourceLogs[0]!.scopeLogs[0].logRecords;
      record!.attributes = record!.attributes.filter(({ key }) => key !== otel);
      expect(readAll(libraryType(REQUEST).serialize(message))).toEqual({
        flows: [],
        refused: [`${otel} is missing`],
        others: [],
      });
    },
  );

  test.each([
    ["a verdict that is none", "cardea.verdict", { stringValue: "maybe" }],
    ["a number as text", "source.port", { stringValue: "80" }],
    ["a text as number", "source.address", { intValue: 7 }],
    ["a number that is none", "cardea.duration_ms", { doubleValue: Number.NaN }],
    ["a reason that would act on a terminal", "cardea.reason", { stringValue: "\u001b[2J" }],
    [
      "labels that are no texts",
      "cardea.source.labels",
      { kvlistValue: { values: [{ key: "a", value: { intValue: 1 } }] } },
    ],
    ["a list for a text", "url.path", { arrayValue: { values: [] } }],
  ])("with %s has no flow", (_name, otel, value) => {
    const message = libraryType(REQUEST).deserialize(flowsRequest([filledFlow()], "flat")) as LibraryRequest;
    const [record] = message.resourceLogs[0]!.scopeLogs[0].logRecords;
    record!.attributes = record!.attributes.filter(({ key }) => key !== otel);
    record!.attributes.push({ key: otel, value });
    const { flows, refused } = readAll(libraryType(REQUEST).serialize(message));
    expect([flows, refused.length]).toEqual([[], 1]);
  });

  test("is told of by its event's name", () => {
    const record = { eventName: "app.started", attributes: [{ key: "k", value: { stringValue: "v" } }] };
    const message = { resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] };
    expect(readAll(libraryType(REQUEST).serialize(message)).others).toEqual([["app.started", new Map([["k", "v"]])]]);
  });

  test("of any octets is refused or read, and never more than that", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expectRefusedOrRead(Buffer.from(bytes));
      }),
    );
  });

  test("that was cut or changed anywhere is refused or read, and never more than that", () => {
    const whole = flowsRequest([filledFlow(), sampleFlow()]);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, octet, length) => {
        const bytes = Buffer.from(whole);
        bytes[at] = octet;
        expectRefusedOrRead(bytes.subarray(0, length));
      }),
      { numRuns: 2_000 },
    );
  });
});

const PYTHON = process.env["OTLP_PYTHON"] ?? "";

describe.skipIf(PYTHON === "")("Python's opentelemetry-proto (needs OTLP_PYTHON, a python with it)", () => {
  test("reads what we write", () => {
    const script = `
import sys, json
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from google.protobuf.json_format import MessageToDict
request = ExportLogsServiceRequest()
request.ParseFromString(sys.stdin.buffer.read())
print(json.dumps(MessageToDict(request, preserving_proto_field_name=True)))
`;
    const said = execFileSync(PYTHON, ["-c", script], { input: flowsRequest([filledFlow()], "flat") }).toString();
    const { resource_logs } = JSON.parse(said) as { resource_logs: [PythonResourceLogs] };
    const [{ resource, scope_logs }] = resource_logs;
    expect(resource.attributes).toContainEqual({ key: "service.name", value: { string_value: "payments" } });
    const [record] = scope_logs[0].log_records;
    expect(record).toMatchObject({
      time_unix_nano: `${BigInt(filledFlow().timeMs) * 1_000_000n}`,
      severity_text: "WARN",
      event_name: "cardea.flow",
      trace_id: Buffer.from("4bf92f3577b34da6a3ce929d0e0e4736", "hex").toString("base64"),
    });
    expect(record.attributes).toContainEqual({ key: "url.path", value: { string_value: "/admin/refunds" } });
    expect(record.attributes).toContainEqual({ key: "cardea.duration_ms", value: { double_value: 0.412 } });
    expect(record.attributes).toHaveLength(Object.keys(FLOW_FIELDS).length - 3);
  });
});

interface PythonResourceLogs {
  readonly resource: { readonly attributes: readonly unknown[] };
  readonly scope_logs: [{ readonly log_records: [{ readonly attributes: readonly unknown[] }] }];
}

type LibraryValue = Readonly<Record<string, unknown>>;
interface LibraryRecord {
  attributes: { readonly key: string; readonly value: LibraryValue }[];
  readonly traceId: Uint8Array;
}
interface LibraryRequest {
  readonly resourceLogs: readonly {
    readonly scopeLogs: readonly [
      {
        readonly scope: { readonly attributes: readonly { readonly key: string }[] };
        readonly logRecords: readonly LibraryRecord[];
      },
    ];
  }[];
}

function libraryRecords(bytes: Buffer): readonly LibraryRecord[] {
  const { resourceLogs } = libraryType(REQUEST).deserialize(bytes) as LibraryRequest;
  return resourceLogs[0]!.scopeLogs[0].logRecords;
}

function readAll(bytes: Buffer) {
  const flows: FlowRecord[] = [];
  const refused: string[] = [];
  const others: [string, ReadonlyMap<string, string | number | null>][] = [];
  readLogsRequest(bytes, {
    onFlow: (flow) => flows.push(flow),
    onRefused: (why) => refused.push(why),
    onOther: (name, attributes) => others.push([name, attributes]),
  });
  return { flows, refused, others };
}

function expectRefusedOrRead(bytes: Buffer): void {
  try {
    readAll(bytes);
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: "bad-input" });
  }
}

/** With a value in every field. */
function filledFlow(): FlowRecord {
  const base = sampleFlow();
  const filled: Record<string, unknown> = { ...base };
  for (const [name, field] of Object.entries(FLOW_FIELDS)) {
    if (name.includes(".") || filled[name] !== null) continue;
    filled[name] = field.type === "number" ? 7 : name === "dryRun" ? "denied" : `some ${name}`;
  }
  const { source, destination } = base;
  const labels = { app: "web" };
  return { ...filled, source: { ...source, service: "web.shop.svc", labels }, destination } as unknown as FlowRecord;
}

function anyFlow(): fc.Arbitrary<FlowRecord> {
  const text = fc.option(fc.string({ unit: "binary", maxLength: 40 }));
  const number = fc.option(fc.nat());
  // A literal's prototype is no label.
  const name = fc.string({ maxLength: 12 }).filter((each) => each !== "__proto__");
  const labels = fc.option(
    fc.array(fc.tuple(name, fc.string({ unit: "binary", maxLength: 12 })), { maxLength: 3 }).map(Object.fromEntries),
  );
  const peer = fc.record({
    ip: fc.ipV4(),
    port: fc.nat(65_535),
    principal: text,
    namespace: text,
    workload: text,
    service: text,
    labels,
  });
  return fc
    .record({
      timeMs: fc.nat(4_000_000_000_000),
      id: hex(8),
      reporter: fc.constantFrom("source" as const, "destination" as const),
      verdict: fc.constantFrom("allowed" as const, "denied" as const, "would-deny" as const, "error" as const),
      source: peer,
      destination: peer,
      tls: fc.record({ version: text, group: text, sni: text }),
      detail: text,
      policy: text,
      rule: number,
      revision: text,
      remoteIp: text,
      method: text,
      host: text,
      path: text,
      receivedPath: text,
      status: number,
      bytesReceived: fc.maxSafeNat(),
      bytesSent: fc.maxSafeNat(),
      durationMs: fc.double({ min: 0, max: 1e9, noNaN: true, noDefaultInfinity: true }),
      traceId: fc.option(hex(16)),
      spanId: fc.option(hex(8)),
      parentSpanId: fc.option(hex(8)),
      attempts: number,
    })
    .map((changes) => sampleFlow(changes));
}

function hex(length: number): fc.Arbitrary<string> {
  return fc.uint8Array({ minLength: length, maxLength: length }).map((each) => Buffer.from(each).toString("hex"));
}
