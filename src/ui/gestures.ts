import type { Point } from "./layout.ts";

export interface Gestures {
  readonly onDrag: (dx: number, dy: number) => void;
  /** `at` from the element's top left corner. */
  readonly onZoom: (at: Point, factor: number) => void;
  readonly onHover: (at: Point | null) => void;
  /** On nothing that is a button. */
  readonly onTap: (at: Point) => void;
}

/** A pointer that has moved less has not been dragged. */
const TAP_PIXELS = 5;

/** Pointers and wheel: one finger or button drags, two fingers and the wheel zoom. */
export function onGestures(element: HTMLElement, { onDrag, onZoom, onHover, onTap }: Gestures): void {
  const pointers = new Map<number, Point>();
  let moved = 0;

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || isButton(event.target)) return;
    pointers.set(event.pointerId, placeIn(element, event));
    moved = 0;
    element.setPointerCapture(event.pointerId);
    element.classList.add("is-dragged");
  });
  element.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    const at = placeIn(element, event);
    if (before === undefined) {
      onHover(isButton(event.target) ? null : at);
      return;
    }
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    moved += Math.abs(at.x - before.x) + Math.abs(at.y - before.y);
    if (other === undefined) onDrag(at.x - before.x, at.y - before.y);
    else onZoom(other, distance(at, other) / Math.max(1, distance(before, other)));
    pointers.set(event.pointerId, at);
  });
  const end = (event: PointerEvent): void => {
    if (!pointers.delete(event.pointerId)) return;
    element.classList.toggle("is-dragged", pointers.size > 0);
    if (event.type === "pointerup" && moved < TAP_PIXELS) onTap(placeIn(element, event));
  };
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
  element.addEventListener("pointerleave", () => onHover(null));
  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const pixels = event.deltaMode === 0 ? event.deltaY : event.deltaY * 30;
      onZoom(placeIn(element, event), Math.exp(-Math.max(-120, Math.min(120, pixels)) * 0.0028));
    },
    { passive: false },
  );
}

function isButton(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("button") !== null;
}

function placeIn(element: HTMLElement, { clientX, clientY }: MouseEvent): Point {
  const { left, top } = element.getBoundingClientRect();
  return { x: clientX - left, y: clientY - top };
}

function distance(one: Point, other: Point): number {
  return Math.hypot(one.x - other.x, one.y - other.y);
}
