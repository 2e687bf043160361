import type { Camera } from "./edge-canvas.ts";
import type { Box, Point } from "./layout.ts";

const SCALE = { min: 0.06, max: 2.2 } as const;

/** All of a box, in the middle of a window, no larger than life. */
export function fitTo(box: Box, width: number, height: number, margin = 36): Camera {
  const scale = clamp(Math.min((width - 2 * margin) / box.width, (height - 2 * margin) / box.height, 1.15));
  return {
    scale,
    x: width / 2 - (box.x + box.width / 2) * scale,
    y: height / 2 - (box.y + box.height / 2) * scale,
  };
}

/** Larger or smaller, while what is at a point of the window stays there. */
export function zoomAt(camera: Camera, at: Point, factor: number): Camera {
  const scale = clamp(camera.scale * factor);
  const by = scale / camera.scale;
  return { scale, x: at.x - (at.x - camera.x) * by, y: at.y - (at.y - camera.y) * by };
}

/** Moved so far that a box can be seen. */
export function reveal(camera: Camera, box: Box, width: number, height: number): Camera {
  const margin = 60;
  const left = box.x * camera.scale + camera.x;
  const top = box.y * camera.scale + camera.y;
  const right = left + box.width * camera.scale;
  const bottom = top + box.height * camera.scale;
  const dx = left < margin ? margin - left : right > width - margin ? width - margin - right : 0;
  const dy = top < margin ? margin - top : bottom > height - margin ? height - margin - bottom : 0;
  return { ...camera, x: camera.x + dx, y: camera.y + dy };
}

function clamp(scale: number): number {
  return Math.max(SCALE.min, Math.min(SCALE.max, scale));
}
