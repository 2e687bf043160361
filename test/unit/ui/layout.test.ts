import { describe, expect, test } from "vitest";
import { curveBetween, pointAt } from "../../../src/ui/geometry.ts";
import { extend, layOut, type Layout, type LayoutEdge, type LayoutNode, NODE } from "../../../src/ui/layout.ts";

function nodesOf(...ids: readonly string[]): readonly LayoutNode[] {
  return ids.map((id) => ({ id, namespace: id.slice(0, id.indexOf("/")) || null }));
}

function edge(text: string): LayoutEdge {
  const [from = "", to = ""] = text.split(" > ");
  return { from, to };
}

const SHOP = nodesOf("shop/web", "shop/orders", "payments/payments", "ledger/ledger", "/no identity");
const EDGES = [
  "shop/web > shop/orders",
  "shop/orders > payments/payments",
  "payments/payments > ledger/ledger",
  "/no identity > payments/payments",
].map(edge);

/** So many services in namespaces, each calling some others. */
function large(services: number): { readonly nodes: readonly LayoutNode[]; readonly edges: readonly LayoutEdge[] } {
  const nodes = nodesOf(...Array.from({ length: services }, (_, i) => `team-${i % 25}/svc-${i}`));
  const edges = nodes.flatMap(({ id }, i) =>
    [1, 7, 31].map((step) => ({ from: id, to: nodes[(i * step + step) % services]!.id })),
  );
  return { nodes, edges };
}

function overlaps({ nodes }: Layout): readonly string[] {
  const all = [...nodes];
  return all.flatMap(([id, { x, y }], i) =>
    all
      .slice(i + 1)
      .filter(([, other]) => Math.abs(other.x - x) < NODE.width && Math.abs(other.y - y) < NODE.height)
      .map(([other]) => `${id} ${other}`),
  );
}

function groupOverlaps({ groups }: Layout): readonly string[] {
  return groups.flatMap((one, i) =>
    groups
      .slice(i + 1)
      .filter(
        (other) =>
          one.x < other.x + other.width &&
          other.x < one.x + one.width &&
          one.y < other.y + other.height &&
          other.y < one.y + one.height,
      )
      .map((other) => `${one.key} ${other.key}`),
  );
}

describe("a layout", () => {
  test("puts callers to the left of whom they call", () => {
    const { nodes } = layOut(SHOP, EDGES);
    for (const { from, to } of EDGES) expect(nodes.get(from)!.x).toBeLessThan(nodes.get(to)!.x);
  });

  test("is the same whatever order its nodes and edges come in", () => {
    const { nodes, edges } = large(120);
    expect(layOut(nodes.toReversed(), edges.toReversed())).toEqual(layOut(nodes, edges));
  });

  test("of circles and calls of oneself comes to an end", () => {
    const edges = ["a/a > a/b", "a/b > a/c", "a/c > a/a", "a/a > a/a"].map(edge);
    expect(layOut(nodesOf("a/a", "a/b", "a/c"), edges).nodes.size).toBe(3);
  });

  test("of nothing is empty", () => {
    expect(layOut([], [])).toMatchObject({ groups: [] });
  });

  test.each([1, 5, 60, 500])("of %i services covers nothing", (services) => {
    const { nodes, edges } = large(services);
    const layout = layOut(nodes, edges);
    expect(layout.nodes.size).toBe(services);
    expect(overlaps(layout)).toEqual([]);
    expect(groupOverlaps(layout)).toEqual([]);
  });

  test("keeps nodes within the frames of their namespaces", () => {
    const { nodes, edges } = large(200);
    const { groups, nodes: places } = layOut(nodes, edges);
    for (const { id, namespace } of nodes) {
      const frame = groups.find(({ key }) => key === namespace)!;
      const { x, y } = places.get(id)!;
      expect(x >= frame.x && x + NODE.width <= frame.x + frame.width).toBe(true);
      expect(y >= frame.y && y + NODE.height <= frame.y + frame.height).toBe(true);
    }
  });
});

describe("when something is new", () => {
  test("nothing moves for edges that come and go", () => {
    const layout = layOut(SHOP, EDGES);
    expect(extend(layout, SHOP, [])).toBe(layout);
    expect(extend(layout, SHOP, [...EDGES, edge("ledger/ledger > shop/web")])).toBe(layout);
  });

  test("a new service of a namespace gets a place in its frame, and no other node of another column moves", () => {
    const before = layOut(SHOP, EDGES);
    const after = extend(before, [...SHOP, ...nodesOf("shop/cart")], EDGES);
    expect(overlaps(after)).toEqual([]);
    expect(groupOverlaps(after)).toEqual([]);
    for (const id of ["payments/payments", "ledger/ledger", "shop/web", "shop/orders"])
      expect(after.nodes.get(id)).toEqual(before.nodes.get(id));
  });

  test("a hundred that come one after the other cover nothing", () => {
    const { nodes, edges } = large(160);
    let layout = layOut(nodes.slice(0, 60), edges);
    for (let count = 61; count <= 160; count++) layout = extend(layout, nodes.slice(0, count), edges);
    expect(layout.nodes.size).toBe(160);
    expect(overlaps(layout)).toEqual([]);
    expect(groupOverlaps(layout)).toEqual([]);
  });
});

test("a line goes around the card that stands in its way", () => {
  const [from, middle, to] = [0, 300, 600].map((x) => ({ x, y: 0 }));
  const curve = curveBetween(from!, to!, [middle!]);
  const inside = Array.from({ length: 50 }, (_, i) => pointAt(curve, i / 49)).filter(
    ({ x, y }) => x > middle!.x && x < middle!.x + NODE.width && y > middle!.y && y < middle!.y + NODE.height,
  );
  expect(inside).toEqual([]);
});
