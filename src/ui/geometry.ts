import { NODE, type Box, type Point } from "./layout.ts";

/** A cubic Bézier curve. */
export interface Curve {
  readonly from: Point;
  readonly c1: Point;
  readonly c2: Point;
  readonly to: Point;
}

const SAMPLES = 24;
/** How far a curve goes up or down around what stands in its way, the nearest first. */
const DETOURS = [0, 70, -70, 140, -140, 220, -220, 320, -320];

/** From one node to another, both by their top left corners; around those of `others` that stand in the way, if it can. */
export function curveBetween(from: Point, to: Point, others: readonly Point[]): Curve {
  let best = curveBy(from, to, 0);
  let fewest = Number.POSITIVE_INFINITY;
  for (const bow of DETOURS) {
    const curve = bow === 0 ? best : curveBy(from, to, bow);
    const hits = hitsOf(curve, others);
    if (hits < fewest) [best, fewest] = [curve, hits];
    if (hits === 0) break;
  }
  return best;
}

function curveBy(from: Point, to: Point, bow: number): Curve {
  const middle = NODE.height / 2;
  const [a, b] = [
    { x: from.x, y: from.y + middle },
    { x: to.x, y: to.y + middle },
  ];
  if (from.x === to.x && from.y === to.y) return loopAt(from);
  if (Math.abs(to.x - from.x) < NODE.width) return besides(a, b, bow);
  const isForward = to.x > from.x;
  const start = { x: isForward ? a.x + NODE.width : a.x, y: a.y };
  const end = { x: isForward ? b.x : b.x + NODE.width, y: b.y };
  const reach = (isForward ? 1 : -1) * Math.max(44, Math.abs(end.x - start.x) * 0.42);
  // The way back bows a little, so that it does not lie on the way there.
  const lift = bow + (isForward ? 0 : 26);
  return {
    from: start,
    c1: { x: start.x + reach, y: start.y + lift },
    c2: { x: end.x - reach, y: end.y + lift },
    to: end,
  };
}

/** One stands above the other: around their right side, or their left for the way up. */
function besides(a: Point, b: Point, bow: number): Curve {
  const isDown = b.y > a.y;
  const side = isDown ? NODE.width : 0;
  const out = (isDown ? 1 : -1) * (46 + Math.abs(b.y - a.y) * 0.12 + Math.abs(bow) * 0.4);
  const [start, end] = [
    { x: a.x + side, y: a.y },
    { x: b.x + side, y: b.y },
  ];
  return { from: start, c1: { x: start.x + out, y: start.y }, c2: { x: end.x + out, y: end.y }, to: end };
}

function loopAt({ x, y }: Point): Curve {
  const right = x + NODE.width - 30;
  return {
    from: { x: right - 34, y },
    c1: { x: right - 44, y: y - 44 },
    c2: { x: right + 24, y: y - 44 },
    to: { x: right, y },
  };
}

function hitsOf(curve: Curve, others: readonly Point[]): number {
  let hits = 0;
  for (let i = 2; i < SAMPLES - 1; i++) {
    const { x, y } = pointAt(curve, i / SAMPLES);
    if (
      others.some((box) => x > box.x - 8 && x < box.x + NODE.width + 8 && y > box.y - 8 && y < box.y + NODE.height + 8)
    )
      hits++;
  }
  return hits;
}

export function pointAt({ from, c1, c2, to }: Curve, t: number): Point {
  const s = 1 - t;
  const [a, b, c, d] = [s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t];
  return { x: a * from.x + b * c1.x + c * c2.x + d * to.x, y: a * from.y + b * c1.y + c * c2.y + d * to.y };
}

/** The same curve beside itself, so many pixels to the right of its way. */
export function lane(curve: Curve, offset: number): Curve {
  if (offset === 0) return curve;
  const turn = Math.atan2(curve.to.y - curve.from.y, curve.to.x - curve.from.x) + Math.PI / 2;
  const [dx, dy] = [Math.cos(turn) * offset, Math.sin(turn) * offset];
  const move = ({ x, y }: Point): Point => ({ x: x + dx, y: y + dy });
  // The ends stay at the sides of their nodes.
  const slide = ({ x, y }: Point): Point => ({ x, y: y + (Math.abs(dy) > 1 ? dy : 0) });
  return { from: slide(curve.from), c1: move(curve.c1), c2: move(curve.c2), to: slide(curve.to) };
}

export function boxOf({ from, c1, c2, to }: Curve): Box {
  const [xs, ys] = [
    [from.x, c1.x, c2.x, to.x],
    [from.y, c1.y, c2.y, to.y],
  ];
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return { x, y, width: Math.max(...xs) - x, height: Math.max(...ys) - y };
}

export function isOver(one: Box, other: Box): boolean {
  return (
    one.x < other.x + other.width &&
    one.x + one.width > other.x &&
    one.y < other.y + other.height &&
    one.y + one.height > other.y
  );
}

/** How far a point is from a curve, roughly. */
export function distanceTo(curve: Curve, { x, y }: Point): number {
  let nearest = Number.POSITIVE_INFINITY;
  let before = curve.from;
  for (let i = 1; i <= SAMPLES; i++) {
    const next = pointAt(curve, i / SAMPLES);
    nearest = Math.min(nearest, toSegment({ x, y }, before, next));
    before = next;
  }
  return nearest;
}

function toSegment(point: Point, a: Point, b: Point): number {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = dx * dx + dy * dy;
  const t = length === 0 ? 0 : Math.max(0, Math.min(1, ((point.x - a.x) * dx + (point.y - a.y) * dy) / length));
  return Math.hypot(point.x - a.x - t * dx, point.y - a.y - t * dy);
}

/** Where on its curve a label of some size covers nothing of what is taken; null: nowhere. */
export function labelPlace(
  curve: Curve,
  size: { readonly width: number; readonly height: number },
  taken: readonly Box[],
): Point | null {
  for (const t of [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74]) {
    const { x, y } = pointAt(curve, t);
    const box = { x: x - size.width / 2, y: y - size.height / 2, ...size };
    if (!taken.some((each) => isOver(each, box))) return { x, y };
  }
  return null;
}
