/** The slope of the straight line that fits best (least squares), y for each x. 0 where there is no line. */
export function slopeOf(points: readonly { readonly x: number; readonly y: number }[]): number {
  const count = points.length;
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / count;
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / count;
  const square = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  if (count < 2 || square === 0) return 0;
  return points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / square;
}
