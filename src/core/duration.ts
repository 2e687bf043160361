/** Go's units (time.ParseDuration), in milliseconds; `µs` may be written with either sign for micro. */
const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

const PARTS = /(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h)/y;

/** `1h`, `1m30s`, `250ms`, `0.5s` → milliseconds. Throws an Error that says what was expected. */
export function parseDuration(text: string): number {
  let totalMs = 0;
  PARTS.lastIndex = 0;
  while (PARTS.lastIndex < text.length) {
    const part = PARTS.exec(text);
    if (part === null) throw notOne(text);
    totalMs += Number(part[1]) * UNIT_MS[part[2]!]!;
  }
  if (text === "" || text.length > 64 || !Number.isSafeInteger(Math.ceil(totalMs))) throw notOne(text);
  return totalMs;
}

/** Gateway API's form of it (GEP-2257): whole numbers of h, m, s and ms, each at most once, five digits at most. */
export function parseGatewayDuration(text: string): number {
  if (!/^([0-9]{1,5}(h|m|s|ms)){1,4}$/.test(text)) throw notOne(text);
  return parseDuration(text);
}

function notOne(text: string): Error {
  return new Error(`expected a duration like 1h, 1m30s or 250ms, found ${JSON.stringify(text.slice(0, 80))}`);
}
