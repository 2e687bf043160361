import { describe, expect, test } from "vitest";
import { renderEdges } from "../../../src/cli/edge-row.ts";
import { edgesOf } from "../../../src/control/flows/edge.ts";
import { EDGE_LATENCY_BOUNDS_MS, type EdgeSum } from "../../../src/control/flows/query.ts";

function sum(changes: Partial<EdgeSum> = {}): EdgeSum {
  return {
    source: { namespace: "shop", workload: "web", service: null, principal: "spiffe://cluster.local/ns/shop/sa/web" },
    destination: {
      namespace: "shop",
      workload: "orders",
      service: "orders.shop.svc",
      principal: "spiffe://cluster.local/ns/shop/sa/orders",
      port: 8080,
    },
    protocol: "http",
    reporter: "destination",
    verdict: "allowed",
    statusClass: 2,
    tls: { version: "TLSv1.3", group: "X25519MLKEM768" },
    flows: 10,
    bytesReceived: 1,
    bytesSent: 2,
    latencyCounts: EDGE_LATENCY_BOUNDS_MS.map((bound) => (bound === 5 ? 10 : 0)).concat(0),
    ...changes,
  };
}

const look = { seconds: 60, width: 200, colour: false };
const NOBODY = { namespace: null, workload: null, service: null, principal: null };

describe("edges in a table", () => {
  test("are sums by verdict put together, the busiest first", () => {
    const lines = renderEdges(
      edgesOf([
        sum({ source: NOBODY, verdict: "denied", statusClass: 0, flows: 3, tls: { version: null, group: null } }),
        sum(),
        sum({ verdict: "denied", statusClass: 4, flows: 2 }),
        sum({ statusClass: 5, flows: 1 }),
      ]),
      look,
    );
    expect(lines[0]).toMatch(/^FROM +TO +ALLOWED +DENIED +WOULD-DENY +ERROR +\/S +P50 +P99 +TLS$/);
    expect(lines[1]).toMatch(/^shop\/web +shop\/orders:8080 +11 +2 +- +1 +0\.2 .* X25519MLKEM768$/);
    expect(lines[2]).toMatch(/^nobody +shop\/orders:8080 +0 +3 .* none$/);
  });

  test("that are partly without TLS say so, and name no group that only some have", () => {
    const [edge] = edgesOf([sum(), sum({ verdict: "denied", tls: { version: null, group: null } })]);
    expect(edge).toMatchObject({ tls: "mixed" });
    expect(edgesOf([sum(), sum({ tls: { version: "TLSv1.3", group: "x25519" } })])[0]).toMatchObject({ group: null });
  });

  test("are coloured where something was denied", () => {
    const [, line] = renderEdges(edgesOf([sum({ verdict: "denied" })]), { ...look, colour: true });
    expect(line).toContain("\u001b[1;31m");
  });

  test("never leave their columns, nor act on a terminal, whatever their names are", () => {
    const workload = '\u001b[2J\r\n\u202e<b>"é'.repeat(20);
    for (const width of [20, 80, 120]) {
      const lines = renderEdges(edgesOf([sum({ source: { ...NOBODY, workload } })]), { ...look, width });
      for (const line of lines) {
        expect(line).toMatch(/^[ -~…]*$/);
        expect(line.length).toBeLessThanOrEqual(width);
      }
    }
  });

  test("two ends of the same name in different namespaces are two", () => {
    const other = { ...sum().destination, namespace: "bank" };
    expect(edgesOf([sum(), sum({ destination: other })])).toHaveLength(2);
  });
});
