import { describe, expect, test } from "vitest";
import type { Address } from "../../../src/core/ports.ts";
import { type BoardFacts, curlThrough, renderBoard } from "../../../src/cli/board.ts";

describe("the board of `cardea up`", () => {
  test("names every service with its identity and ports, and the lines to paste", () => {
    expect(renderBoard(mesh(), { width: 80, colour: false })).toEqual([
      "",
      " cardea  mesh local is up: 4 services, each with its own sidecar and identity",
      "",
      " SERVICE   IDENTITY                                        OUTBOUND  INBOUND",
      " web       spiffe://cluster.local/ns/shop/sa/web           :15001    8080→:15006",
      " orders    spiffe://cluster.local/ns/shop/sa/orders        :15011    8080→:15016",
      " payments  spiffe://cluster.local/ns/payments/sa/payments  :15021    8080→:15026",
      " ledger    spiffe://cluster.local/ns/ledger/sa/ledger      :15031    7000→:15036",
      "",
      ` root sha256  ${"3f9a".repeat(16)}`,
      " between      TLS 1.3 both ways, key exchange X25519MLKEM768 (post-quantum)",
      " map          http://127.0.0.1:15080 (who talks to whom, in a browser)",
      " policies     policies (edit one: it is in force within a second)",
      " state        ~/.local/state/cardea/local",
      "",
      " web asks orders: allowed",
      "   curl -i -x http://127.0.0.1:15001 http://orders.shop:8080/orders",
      "",
      " web asks for payments' admin page: denied, with an id to explain",
      "   curl -i -x http://127.0.0.1:15001 http://payments.payments:8080/admin/refunds",
      "",
      " cardea explain ID  why was that denied?",
      " cardea status      is every sidecar in sync?",
      " ^C                 ends the mesh and leaves nothing running",
      "",
    ]);
  });

  test.each([80, 100, 120, 200])("fits %d columns", (width) => {
    const lines = renderBoard(mesh(), { width, colour: false });
    expect(lines.filter((line) => line.length > width)).toEqual([]);
  });

  test("cuts an identity at its beginning where there is no room, and never a line to paste", () => {
    const lines = renderBoard(mesh(), { width: 60, colour: false });
    expect(lines.find((line) => line.startsWith(" payments  "))).toBe(
      " payments  …l/ns/payments/sa/payments  :15021    8080→:15026",
    );
    expect(lines).toContain("   curl -i -x http://127.0.0.1:15001 http://payments.payments:8080/admin/refunds");
  });

  test("is the same text with colour as without", () => {
    const plain = renderBoard(mesh(), { width: 80, colour: false });
    const coloured = renderBoard(mesh(), { width: 80, colour: true });
    expect(coloured.join("\n")).toContain("\u001b[");
    // oxlint-disable-next-line no-control-regex
    expect(coloured.map((line) => line.replace(/\u001b\[[\d;]*m/g, ""))).toEqual(plain);
  });

  test("says where the map is, and nothing of it where there is none", () => {
    const look = { width: 100, colour: false };
    expect(renderBoard(mesh(), look).join("\n")).toContain("http://127.0.0.1:15080 (who talks to whom");
    expect(renderBoard(mesh({ map: null }), look).join("\n")).not.toContain("http://127.0.0.1:15080");
  });

  test("tells services of one name apart by their namespaces", () => {
    const lines = renderBoard(mesh({ services: [service("web", "shop", 1), service("web", "test", 2)] }), {
      width: 80,
      colour: false,
    });
    expect(lines.filter((line) => /^ web\.(shop|test) /.test(line))).toHaveLength(2);
  });

  test("makes lines to paste from the services where nobody has better ones", () => {
    const lines = renderBoard(mesh({ tries: [] }), { width: 80, colour: false });
    expect(lines).toContain(" as web, ask payments");
    expect(lines).toContain("   curl -i -x http://127.0.0.1:15001 http://payments.payments:8080/");
    expect(lines.filter((line) => line.includes("ledger.ledger"))).toEqual([]);
  });

  test("lets nothing of a name act on the terminal", () => {
    const hostile = mesh({
      mesh: "\u001b[2J",
      services: [{ ...service("web", "shop", 1), name: "w\u0007", principal: "spiffe://\u009b31m" }],
      policiesDirectory: "p\u202e",
      stateDirectory: "s\n",
      keyExchange: "X\u001b]0;x",
    });
    expect(renderBoard(hostile, { width: 80, colour: false }).join("")).not.toMatch(/\p{C}/u);
  });
});

function mesh(changes: Partial<BoardFacts> = {}): BoardFacts {
  const web = service("web", "shop", 15_001);
  return {
    mesh: "local",
    services: [
      web,
      service("orders", "shop", 15_011),
      service("payments", "payments", 15_021),
      { ...service("ledger", "ledger", 15_031, "TCP") },
    ],
    rootFingerprint: "3f9a".repeat(16),
    keyExchange: "X25519MLKEM768",
    policiesDirectory: "policies",
    stateDirectory: "~/.local/state/cardea/local",
    map: { host: "127.0.0.1", port: 15_080 },
    tries: [
      { says: "web asks orders: allowed", line: curlThrough(web.outbound, "http://orders.shop:8080/orders") },
      {
        says: "web asks for payments' admin page: denied, with an id to explain",
        line: curlThrough(web.outbound, "http://payments.payments:8080/admin/refunds"),
      },
    ],
    program: "cardea",
    ...changes,
  };
}

function service(
  name: string,
  namespace: string,
  outbound: number,
  protocol: "HTTP" | "TCP" = "HTTP",
): BoardFacts["services"][number] {
  const port = protocol === "HTTP" ? 8080 : 7000;
  return {
    name,
    namespace,
    principal: `spiffe://cluster.local/ns/${namespace}/sa/${name}`,
    outbound: at(outbound),
    inbound: [{ port, protocol, listen: at(outbound + 5), app: at(1) }],
  };
}

function at(port: number): Address {
  return { host: "127.0.0.1", port };
}
