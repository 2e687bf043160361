import type { MapVerdict } from "../api/map-messages.ts";
import type { Colours } from "./colours.ts";
import { boxOf, type Curve, isOver, lane, pointAt } from "./geometry.ts";
import type { Box, Point } from "./layout.ts";

/** One line: of one verdict between two nodes. */
export interface Stroke {
  readonly tie: string;
  readonly verdict: MapVerdict;
  readonly curve: Curve;
  readonly box: Box;
  readonly width: number;
  /** Some of what was let through failed. */
  readonly isFailing: boolean;
}

/** Beside each other where a tie has several verdicts. */
export function strokesOf(
  tie: string,
  curve: Curve,
  counts: Readonly<Record<MapVerdict, number>>,
  { perSecond, isFailing }: { readonly perSecond: number; readonly isFailing: boolean },
): readonly Stroke[] {
  const verdicts = (["allowed", "denied", "would-deny", "error"] as const).filter((verdict) => counts[verdict] > 0);
  const first = (-(verdicts.length - 1) * LANE) / 2;
  return verdicts.map((verdict, i) => {
    const own = lane(curve, first + i * LANE);
    const width = verdict === "allowed" ? 1.3 + Math.min(2.7, Math.log10(1 + perSecond) * 1.1) : 2;
    return { tie, verdict, curve: own, box: boxOf(own), width, isFailing: isFailing && verdict === "allowed" };
  });
}

const LANE = 9;

/** Told apart by their lines as well as by colour: whole, short strokes, long strokes, dots. */
const DASHES: Readonly<Record<MapVerdict, readonly number[]>> = {
  allowed: [],
  denied: [5, 4],
  "would-deny": [11, 5],
  error: [1.5, 4.5],
};

export interface Camera extends Point {
  readonly scale: number;
}

export interface Scene {
  readonly strokes: readonly Stroke[];
  readonly colours: Colours;
  /** Ties that stand out; null: all alike. */
  readonly lit: ReadonlySet<string> | null;
  readonly hovered: string | null;
  /** Ways that a breach can take. */
  readonly blast: readonly Curve[];
}

export class EdgeCanvas {
  readonly element: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  #ratio = 1;

  constructor() {
    this.element = document.createElement("canvas");
    this.element.className = "edges";
    this.element.setAttribute("aria-hidden", "true");
    this.#context = this.element.getContext("2d")!;
  }

  resize(width: number, height: number): void {
    this.#ratio = Math.min(2, window.devicePixelRatio || 1);
    this.element.width = Math.round(width * this.#ratio);
    this.element.height = Math.round(height * this.#ratio);
  }

  /** Draws what can be seen of it: a few milliseconds for thousands of lines. */
  draw(scene: Scene, camera: Camera): void {
    const context = this.#context;
    const { width, height } = this.element;
    const zoom = camera.scale * this.#ratio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(zoom, 0, 0, zoom, camera.x * this.#ratio, camera.y * this.#ratio);
    const seen = {
      x: -camera.x / camera.scale,
      y: -camera.y / camera.scale,
      width: width / zoom,
      height: height / zoom,
    };
    const wide = { x: seen.x - 40, y: seen.y - 40, width: seen.width + 80, height: seen.height + 80 };
    for (const stroke of scene.strokes) if (isOver(stroke.box, wide)) this.#stroke(stroke, scene, camera.scale);
    for (const curve of scene.blast) this.#blast(curve, scene.colours, camera.scale);
    context.globalAlpha = 1;
  }

  #stroke({ tie, verdict, curve, width, isFailing }: Stroke, { colours, lit, hovered }: Scene, scale: number): void {
    const context = this.#context;
    const isLit = lit === null || lit.has(tie);
    const isStrong = hovered === tie || (lit !== null && isLit);
    // From far away lines must not become hairs, nor a wall.
    const thin = Math.max(width, 0.9 / scale);
    context.globalAlpha = isLit
      ? isStrong
        ? 1
        : verdict === "allowed"
          ? scale < 0.3
            ? 0.35
            : 0.72
          : scale < 0.3
            ? 0.6
            : 1
      : 0.1;
    const colour = isFailing ? colours.error : colours[verdict];
    context.strokeStyle = colour;
    context.fillStyle = colour;
    context.lineWidth = isStrong ? thin * 1.6 : thin;
    context.setLineDash(DASHES[verdict].map((length) => length * Math.max(1, 0.55 / scale)));
    trace(context, curve);
    if (scale < 0.3) return;
    context.setLineDash([]);
    if (verdict === "denied") this.#bar(curve);
    else this.#arrow(curve, 7 + width);
  }

  #blast(curve: Curve, colours: Colours, scale: number): void {
    const context = this.#context;
    context.globalAlpha = 0.95;
    context.strokeStyle = colours.blast;
    context.fillStyle = colours.blast;
    context.lineWidth = Math.max(2, 1.2 / scale);
    context.setLineDash([2, 5]);
    trace(context, curve);
    context.setLineDash([]);
    this.#arrow(curve, 9);
  }

  #arrow({ c2, to }: Curve, size: number): void {
    const turn = Math.atan2(to.y - c2.y, to.x - c2.x);
    const context = this.#context;
    context.beginPath();
    context.moveTo(to.x, to.y);
    for (const side of [2.7, -2.7])
      context.lineTo(to.x + Math.cos(turn + side) * size, to.y + Math.sin(turn + side) * size);
    context.fill();
  }

  /** It ended before it was in. */
  #bar(curve: Curve): void {
    const [at, before] = [pointAt(curve, 0.985), pointAt(curve, 0.93)];
    const turn = Math.atan2(at.y - before.y, at.x - before.x) + Math.PI / 2;
    const [dx, dy] = [Math.cos(turn) * 7, Math.sin(turn) * 7];
    const context = this.#context;
    context.lineWidth = 3;
    context.beginPath();
    context.moveTo(at.x - dx, at.y - dy);
    context.lineTo(at.x + dx, at.y + dy);
    context.stroke();
  }
}

function trace(context: CanvasRenderingContext2D, { from, c1, c2, to }: Curve): void {
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.bezierCurveTo(c1.x, c1.y, c2.x, c2.y, to.x, to.y);
  context.stroke();
}
