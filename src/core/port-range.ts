/** Ports from one to another, both included; one port is a range of itself. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** More of them say that something else was meant, and a rule for each has to be loaded. */
const RANGES_MAX = 256;

/** `25,3306,9000-9010` → ranges as they are written; nothing → none. Throws an Error that says what was expected. */
export function parsePortRanges(text: string): readonly PortRange[] {
  if (text.trim() === "") return [];
  const words = text.split(",");
  if (words.length > RANGES_MAX)
    throw new Error(`expected at most ${RANGES_MAX} ports and ranges, found ${words.length}`);
  return words.map((word) => parseRange(word.trim()));
}

export function formatPortRanges(ranges: readonly PortRange[]): string {
  return ranges.map(({ from, to }) => (from === to ? String(from) : `${from}-${to}`)).join(",");
}

export function isInRanges(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(({ from, to }) => from <= port && port <= to);
}

function parseRange(word: string): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(word);
  const from = Number(match?.[1]);
  const to = Number(match?.[2] ?? match?.[1]);
  if (match !== null && from >= 1 && from <= to && to <= 65_535) return { from, to };
  throw new Error(
    `expected ports like 8080 or 9000-9010, separated by commas, found ${JSON.stringify(word.slice(0, 40))}`,
  );
}
