// Where things stand: groups of nodes from left (who calls) to right (who is called). The same graph always gives the same
// picture, and what has its place keeps it when edges come and go.

export const NODE = { width: 172, height: 46 } as const;
const GAP = { nodeX: 124, nodeY: 20, groupX: 128, groupY: 44 } as const;
const PAD = { side: 18, top: 40, bottom: 18 } as const;

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}

export interface LayoutNode {
  readonly id: string;
  /** Null: in none; such nodes stand beside all groups. */
  readonly namespace: string | null;
}

export interface LayoutEdge {
  readonly from: string;
  readonly to: string;
}

export interface LayoutGroup extends Box {
  /** The namespace; `→` and `←` for who calls, and is called, from outside. */
  readonly key: string;
  readonly label: string;
}

export interface Layout {
  /** Top left corners. */
  readonly nodes: ReadonlyMap<string, Point>;
  readonly groups: readonly LayoutGroup[];
  readonly bounds: Box;
}

const CALLERS = "→";
const CALLED = "←";

export function layOut(nodes: readonly LayoutNode[], edges: readonly LayoutEdge[]): Layout {
  const groupOf = groupsOf(nodes, edges);
  const members = Map.groupBy([...groupOf.keys()].toSorted(), (id) => groupOf.get(id)!);
  const inner = new Map([...members].map(([key, ids]) => [key, arrange(ids, within(edges, groupOf, key))]));
  const between = edges
    .map(({ from, to }) => ({ from: groupOf.get(from) ?? "", to: groupOf.get(to) ?? "" }))
    .filter(({ from, to }) => from !== to && from !== "" && to !== "");
  const places = placeGroups(inner, between);
  return whole(inner, places);
}

function groupsOf(nodes: readonly LayoutNode[], edges: readonly LayoutEdge[]): ReadonlyMap<string, string> {
  const callers = new Set(edges.map(({ from }) => from));
  return new Map(nodes.map(({ id, namespace }) => [id, namespace ?? (callers.has(id) ? CALLERS : CALLED)] as const));
}

function within(
  edges: readonly LayoutEdge[],
  groupOf: ReadonlyMap<string, string>,
  key: string,
): readonly LayoutEdge[] {
  return edges.filter(({ from, to }) => groupOf.get(from) === key && groupOf.get(to) === key);
}

interface Arrangement {
  readonly places: ReadonlyMap<string, Point>;
  readonly width: number;
  readonly height: number;
}

/** The nodes of one group, in columns by who calls whom; long columns are broken. */
function arrange(ids: readonly string[], edges: readonly LayoutEdge[]): Arrangement {
  const rowsMax = Math.max(4, Math.ceil(Math.sqrt(ids.length * 2.2)));
  const layers = ordered(layersOf(ids, edges), edges);
  const isLong = layers.length > Math.max(4, Math.ceil(Math.sqrt(ids.length)));
  // A long chain, or a circle that looks like one, is folded as lines of a text are.
  const columns = isLong
    ? broken(layers.flat(), Math.ceil(Math.sqrt(ids.length * 3)))
    : layers.flatMap((column) => broken(column, rowsMax));
  const rows = Math.max(...columns.map((column) => column.length));
  const places = new Map<string, Point>();
  for (const [x, column] of columns.entries())
    for (const [y, id] of column.entries())
      places.set(id, {
        x: PAD.side + x * (NODE.width + GAP.nodeX),
        y: PAD.top + (y + (rows - column.length) / 2) * (NODE.height + GAP.nodeY),
      });
  return {
    places,
    width: 2 * PAD.side + columns.length * (NODE.width + GAP.nodeX) - GAP.nodeX,
    height: PAD.top + PAD.bottom + rows * (NODE.height + GAP.nodeY) - GAP.nodeY,
  };
}

function broken(column: readonly string[], rowsMax: number): readonly (readonly string[])[] {
  const parts = Math.ceil(column.length / rowsMax);
  const rows = Math.ceil(column.length / parts);
  return Array.from({ length: parts }, (_, i) => column.slice(i * rows, (i + 1) * rows));
}

/** Longest ways from the left; edges that close a circle are left out, the same each time. */
function layersOf(ids: readonly string[], edges: readonly LayoutEdge[]): readonly (readonly string[])[] {
  const next = targetsOf(edges);
  const state = new Map<string, "open" | "done">();
  const layer = new Map<string, number>();
  const order: string[] = [];
  const visit = (id: string): void => {
    state.set(id, "open");
    for (const to of next.get(id) ?? []) if (!state.has(to)) visit(to);
    state.set(id, "done");
    order.push(id);
  };
  // From those whom nobody calls; what is left then goes in circles.
  const called = new Set(edges.map(({ to }) => to));
  const roots = ids.filter((id) => !called.has(id));
  for (const id of [...roots, ...ids]) if (!state.has(id)) visit(id);
  const position = new Map(order.toReversed().map((id, i) => [id, i]));
  for (const id of order.toReversed()) {
    const own = layer.get(id) ?? 0;
    layer.set(id, own);
    for (const to of next.get(id) ?? [])
      if (position.get(to)! > position.get(id)!) layer.set(to, Math.max(layer.get(to) ?? 0, own + 1));
  }
  const layers = Map.groupBy(ids, (id) => layer.get(id)!);
  return [...layers.keys()].toSorted((one, other) => one - other).map((key) => layers.get(key)!);
}

function targetsOf(edges: readonly LayoutEdge[]): ReadonlyMap<string, readonly string[]> {
  const sorted = edges.filter(({ from, to }) => from !== to).toSorted((one, other) => (one.to < other.to ? -1 : 1));
  const targets = Map.groupBy(sorted, ({ from }) => from);
  return new Map([...targets].map(([from, some]) => [from, [...new Set(some.map(({ to }) => to))]]));
}

const SWEEPS = 4;

/** Each column in the order of the middle of what it is tied to, so that few edges cross. */
function ordered(layers: readonly (readonly string[])[], edges: readonly LayoutEdge[]): readonly (readonly string[])[] {
  const tied = new Map<string, string[]>();
  for (const { from, to } of edges) {
    tied.set(from, [...(tied.get(from) ?? []), to]);
    tied.set(to, [...(tied.get(to) ?? []), from]);
  }
  let columns = layers;
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const at = new Map(columns.flatMap((column) => column.map((id, i) => [id, (i + 0.5) / column.length] as const)));
    const middle = (id: string): number => {
      const others = (tied.get(id) ?? []).filter((other) => at.has(other));
      return others.length === 0 ? at.get(id)! : others.reduce((sum, other) => sum + at.get(other)!, 0) / others.length;
    };
    columns = columns.map((column) => {
      const keyed = column.map((id) => ({ id, key: middle(id) }));
      return keyed.toSorted((one, other) => one.key - other.key || (one.id < other.id ? -1 : 1)).map(({ id }) => id);
    });
  }
  return columns;
}

/** A field of a monitor's shape. */
const ASPECT = 1.7;

function placeGroups(
  inner: ReadonlyMap<string, Arrangement>,
  edges: readonly LayoutEdge[],
): ReadonlyMap<string, Point> {
  const keys = [...inner.keys()].toSorted();
  const layers = ordered(layersOf(keys, edges), edges);
  const area = keys.reduce((sum, key) => sum + sizeOf(inner, key).width * sizeOf(inner, key).height * 1.5, 0);
  const tallest = Math.max(0, ...keys.map((key) => sizeOf(inner, key).height));
  const heightMax = Math.max(tallest, Math.sqrt(area / ASPECT));
  const layered = layers.flatMap((layer) => packed(layer, inner, heightMax));
  const columns =
    widthOf(layered, inner) > 1.5 * ASPECT * heightMax && keys.length > 6
      ? packed(layers.flat(), inner, heightMax)
      : layered;
  const places = new Map<string, Point>();
  let x = 0;
  for (const column of columns) {
    const height = heightOf(column, inner);
    let y = -height / 2;
    const width = Math.max(...column.map((key) => sizeOf(inner, key).width));
    for (const key of column) {
      const size = sizeOf(inner, key);
      places.set(key, { x: x + (width - size.width) / 2, y });
      y += size.height + GAP.groupY;
    }
    x += width + GAP.groupX;
  }
  return places;
}

function packed(
  layer: readonly string[],
  inner: ReadonlyMap<string, Arrangement>,
  heightMax: number,
): readonly (readonly string[])[] {
  const columns: string[][] = [];
  for (const key of layer) {
    const last = columns.at(-1);
    if (last !== undefined && heightOf([...last, key], inner) <= heightMax) last.push(key);
    else columns.push([key]);
  }
  return columns;
}

function sizeOf(inner: ReadonlyMap<string, Arrangement>, key: string): Arrangement {
  return inner.get(key)!;
}

function widthOf(columns: readonly (readonly string[])[], inner: ReadonlyMap<string, Arrangement>): number {
  const widths = columns.map((column) => Math.max(...column.map((key) => sizeOf(inner, key).width)));
  return widths.reduce((sum, width) => sum + width + GAP.groupX, -GAP.groupX);
}

function heightOf(column: readonly string[], inner: ReadonlyMap<string, Arrangement>): number {
  return column.reduce((sum, key) => sum + sizeOf(inner, key).height + GAP.groupY, -GAP.groupY);
}

function whole(inner: ReadonlyMap<string, Arrangement>, places: ReadonlyMap<string, Point>): Layout {
  const nodes = new Map<string, Point>();
  const groups: LayoutGroup[] = [];
  for (const [key, { places: own, width, height }] of inner) {
    const at = places.get(key)!;
    groups.push({ key, label: labelOf(key), ...at, width, height });
    for (const [id, { x, y }] of own) nodes.set(id, { x: Math.round(at.x + x), y: Math.round(at.y + y) });
  }
  return { nodes, groups, bounds: boundsOf(groups) };
}

function labelOf(key: string): string {
  return key === CALLERS || key === CALLED ? "outside the mesh" : key;
}

function boundsOf(boxes: readonly Box[]): Box {
  if (boxes.length === 0) return { x: 0, y: 0, width: NODE.width, height: NODE.height };
  const x = Math.min(...boxes.map((box) => box.x));
  const y = Math.min(...boxes.map((box) => box.y));
  const right = Math.max(...boxes.map((box) => box.x + box.width));
  const bottom = Math.max(...boxes.map((box) => box.y + box.height));
  return { x, y, width: right - x, height: bottom - y };
}

/**
 * The layout with what is new in it: below its group, or in a group of its own below all. Nothing else moves but groups
 * that would be covered. The same object when nothing is new.
 */
export function extend(layout: Layout, nodes: readonly LayoutNode[], edges: readonly LayoutEdge[]): Layout {
  const fresh = nodes.filter(({ id }) => !layout.nodes.has(id));
  if (fresh.length === 0) return layout;
  if (layout.nodes.size === 0) return layOut(nodes, edges);
  const groupOf = groupsOf(nodes, edges);
  let grown = layout;
  for (const { id } of fresh.toSorted((one, other) => (one.id < other.id ? -1 : 1)))
    grown = withNode(grown, id, groupOf.get(id)!);
  return grown;
}

function withNode(layout: Layout, id: string, key: string): Layout {
  const step = NODE.height + GAP.nodeY;
  const group = layout.groups.find((each) => each.key === key);
  if (group === undefined) {
    const size = { width: NODE.width + 2 * PAD.side, height: PAD.top + NODE.height + PAD.bottom };
    const at = { x: layout.bounds.x, y: layout.bounds.y + layout.bounds.height + GAP.groupY };
    const groups = [...layout.groups, { key, label: labelOf(key), ...at, ...size }];
    const place = { x: at.x + PAD.side, y: at.y + PAD.top };
    return { nodes: new Map([...layout.nodes, [id, place]]), groups, bounds: boundsOf(groups) };
  }
  const free = freePlace(layout, group);
  if (free !== null) return { ...layout, nodes: new Map([...layout.nodes, [id, free]]) };
  const place = { x: group.x + PAD.side, y: group.y + group.height - PAD.bottom + GAP.nodeY };
  const isBelow = (box: Point & { width: number }): boolean =>
    box.y >= group.y + group.height && box.x < group.x + group.width && box.x + box.width > group.x;
  const moved = (at: Point, width: number): Point => (isBelow({ ...at, width }) ? { ...at, y: at.y + step } : at);
  const groups = layout.groups.map((each) =>
    each === group ? { ...each, height: each.height + step } : { ...each, ...moved(each, each.width) },
  );
  const places = [...layout.nodes].map(([each, at]) => [each, moved(at, NODE.width)] as const);
  return { nodes: new Map([...places, [id, place]]), groups, bounds: boundsOf(groups) };
}

/** A gap in the group's grid, the topmost of the leftmost column. */
function freePlace(layout: Layout, group: LayoutGroup): Point | null {
  const taken = [...layout.nodes.values()].filter(
    ({ x, y }) => x >= group.x && x < group.x + group.width && y >= group.y && y < group.y + group.height,
  );
  const stepX = NODE.width + GAP.nodeX;
  const stepY = NODE.height + GAP.nodeY;
  for (let x = group.x + PAD.side; x + NODE.width <= group.x + group.width - PAD.side + 1; x += stepX)
    for (let y = group.y + PAD.top; y + NODE.height <= group.y + group.height - PAD.bottom + 1; y += stepY)
      if (taken.every((each) => Math.abs(each.x - x) >= NODE.width || Math.abs(each.y - y) >= NODE.height + 4))
        return { x: Math.round(x), y: Math.round(y) };
  return null;
}
