import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { curl } from "../support/curl.ts";
import { startTestMesh, type TestMesh } from "../support/local-mesh.ts";
import { openGrpcCollector, openHttpCollector, type OtlpCollector } from "../support/otlp-collector.ts";
import { readSpanRequest } from "../support/read-spans.ts";

// Spans of a whole mesh, out of its processes to a collector that is not ours.

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";

interface Spans {
  readonly service: string;
  readonly principal: string;
  readonly name: string;
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | null;
  readonly attributes: Readonly<Record<string, string | number>>;
}

function spansOf(collector: OtlpCollector): readonly Spans[] {
  return collector.requests.flatMap(readSpanRequest).flatMap(({ resource, spans }) =>
    spans.map((span) => ({
      ...span,
      service: String(resource["service.name"]),
      principal: String(resource["cardea.principal"]),
    })),
  );
}

const withTracing = (endpoint: string, protocol: string) => (text: string) =>
  text.replace(
    /^spec:$/m,
    `spec:\n  tracing:\n    endpoint: ${endpoint}\n    protocol: ${protocol}\n    samplingPercentage: 0\n    requestsPerSecond: 50`,
  );

function get(mesh: TestMesh, host: string, ...fields: string[]) {
  const { outbound } = mesh.service("web");
  const headers = fields.flatMap((field) => ["-H", field]);
  return curl("-x", `http://127.0.0.1:${outbound.port}`, ...headers, `http://${host}/orders`);
}

describe.each([
  ["http/protobuf", openHttpCollector],
  ["grpc", openGrpcCollector],
] as const)("over %s", (protocol, openCollector) => {
  let mesh: TestMesh;
  let collector: OtlpCollector;

  beforeAll(async () => {
    collector = await openCollector();
    mesh = await startTestMesh({ mesh: withTracing(collector.endpoint, protocol) });
  }, 90_000);
  afterAll(async () => {
    await mesh.close();
    await collector.close();
  });

  test("a trace that was asked for is one chain of spans through both sidecars, whose ids the flow records have", async () => {
    const { status } = await get(mesh, "orders.shop:8080", `traceparent: 00-${TRACE}-${PARENT}-01`);
    expect(status).toBe(200);
    await vi.waitFor(
      () => expect(ofTrace(collector).map(({ service, kind }) => `${service} ${kind}`)).toContain("orders SERVER"),
      60_000,
    );
    const chain = await vi.waitFor(() => {
      const [asked, sent] = [find(collector, "web", "SERVER"), find(collector, "web", "CLIENT")];
      const [served, handed] = [find(collector, "orders", "SERVER", sent.spanId), find(collector, "orders", "CLIENT")];
      return [asked, sent, served, handed] as const;
    }, 60_000);
    expect(chain[0].parentSpanId).toBe(PARENT);
    expect(chain.slice(1).map(({ parentSpanId }) => parentSpanId)).toEqual(chain.slice(0, 3).map((s) => s.spanId));
    expect(chain[2].principal).toBe("spiffe://cluster.local/ns/shop/sa/orders");
    expect(chain[2].attributes["cardea.source.principal"]).toBe("spiffe://cluster.local/ns/shop/sa/web");
    const flows = mesh.flows().filter(({ traceId }) => traceId === TRACE);
    expect(flows.map(({ spanId }) => spanId)).toEqual(expect.arrayContaining([chain[1].spanId, chain[3].spanId]));
  }, 90_000);

  test("`cardea trace` shows it from the flow records, by its id and by that of a flow in it", async () => {
    const [flow] = mesh.flows().filter(({ traceId, reporter }) => traceId === TRACE && reporter === "destination");
    await vi.waitFor(async () => {
      const { code, stdout } = await mesh.cardea("trace", TRACE);
      expect({ code, stdout }).toEqual({
        code: 0,
        stdout: expect.stringMatching(/\nweb > orders {2}GET \/orders +200 /),
      });
      expect((await mesh.cardea("trace", flow!.id)).stdout).toBe(stdout);
    }, 60_000);
    expect(await mesh.cardea("trace", "f".repeat(32))).toMatchObject({ code: 1, stdout: "" });
    expect(await mesh.cardea("trace", "no-id")).toMatchObject({ code: 2, stdout: "" });
  }, 90_000);

  test("a denial has its span though nobody asked, and `explain` knows its id", async () => {
    const { status, headers } = await get(mesh, "payments.payments:8080");
    expect(status).toBe(403);
    const id = headers["x-cardea-denial"]!;
    const denial = await vi.waitFor(() => {
      const found = spansOf(collector).find(({ attributes }) => attributes["log.record.uid"] === id);
      expect(found).toBeDefined();
      return found!;
    }, 60_000);
    expect(denial.attributes).toMatchObject({ "cardea.verdict": "denied", "cardea.sampled_by": "denial" });
    const { stdout } = await mesh.cardea("explain", id);
    expect(stdout).toContain("payments");
  }, 90_000);

  test("what nobody asked for and was let through has none", () => {
    const uncalled = spansOf(collector).filter(({ attributes, traceId }) => {
      const status = Number(attributes["http.response.status_code"] ?? 0);
      return traceId !== TRACE && attributes["cardea.verdict"] === "allowed" && status < 500;
    });
    expect(uncalled).toEqual([]);
  });

  test("a collector that takes nothing for a while gets all that fits, and nobody waits for it", async () => {
    collector.answer = protocol === "grpc" ? 14 : 503;
    const traces = Array.from({ length: 20 }, (_, i) => `${TRACE.slice(2)}${i.toString(16).padStart(2, "0")}`);
    const statuses = await Promise.all(
      traces.map(async (id) => (await get(mesh, "orders.shop:8080", `traceparent: 00-${id}-${PARENT}-01`)).status),
    );
    expect(new Set(statuses)).toEqual(new Set([200]));
    await vi.waitFor(() => expect(collector.refused).toBeGreaterThan(1), 60_000);
    collector.answer = protocol === "grpc" ? 0 : 200;
    await vi.waitFor(() => {
      const told = new Set(spansOf(collector).map(({ traceId }) => traceId));
      expect(traces.filter((id) => !told.has(id))).toEqual([]);
    }, 80_000);
  }, 120_000);

  const PYTHON = process.env["OTLP_PYTHON"] ?? "";

  test.skipIf(PYTHON === "")("Python's opentelemetry-proto reads it (needs OTLP_PYTHON, a python with it)", () => {
    const script = `
import sys, json
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
request = ExportTraceServiceRequest()
request.ParseFromString(sys.stdin.buffer.read())
spans = [(span.trace_id.hex(), span.kind, span.end_time_unix_nano > span.start_time_unix_nano > 1.7e18)
  for each in request.resource_spans for scope in each.scope_spans for span in scope.spans]
print(json.dumps({"spans": spans}))
`;
    const read = collector.requests.flatMap((input) => {
      const said = execFileSync(PYTHON, ["-c", script], { input }).toString();
      return (JSON.parse(said) as { readonly spans: readonly [string, number, boolean][] }).spans;
    });
    expect(read.map(([traceId]) => traceId)).toEqual(spansOf(collector).map(({ traceId }) => traceId));
    expect(read.filter(([, kind, isInOrder]) => !isInOrder || (kind !== 2 && kind !== 3))).toEqual([]);
  });
});

function ofTrace(collector: OtlpCollector): readonly Spans[] {
  return spansOf(collector).filter(({ traceId }) => traceId === TRACE);
}

/** The sample's apps pass their trace on, so that there are more below: of several the one below this parent, or the first. */
function find(collector: OtlpCollector, service: string, kind: string, parent?: string): Spans {
  const found = ofTrace(collector).find(
    (span) => span.service === service && span.kind === kind && (parent === undefined || span.parentSpanId === parent),
  );
  if (found === undefined) throw new Error(`no ${kind} span of ${service} yet`);
  return found;
}
