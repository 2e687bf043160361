/** A row of docs/istio-sentences/NAME.md. */
export interface SentenceRow {
  readonly key: string;
  readonly place: string;
  /** What the sentence says, in our words. */
  readonly states: string;
  /** `test/….test.ts › describe › name`. */
  readonly tests: readonly string[];
  /** A subject of docs/guides/differences-from-istio.md, and why the sentence does not hold here. */
  readonly differs: { readonly subject: string; readonly reason: string } | null;
  /** Why there is nothing to hold. */
  readonly noBehaviour: string | null;
  /** What of us has to be there first. */
  readonly pending: string | null;
}

const ROW = /^\| `([0-9a-f]{8})` \| (.+?) \| (.+) \|$/;

/** The rows of a table; throws at a line that is none and looks like one. */
export function parseSentenceTable(text: string): SentenceRow[] {
  const rows: SentenceRow[] = [];
  let place = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("## ")) place = line.slice(3);
    if (!line.startsWith("|") || line.startsWith("| key |") || line.startsWith("| --- |")) continue;
    const [, key, states, held] = ROW.exec(line) ?? [];
    if (key === undefined) throw new Error(`not a row: ${line}`);
    rows.push({ key, place, states: states!, ...parseHeld(held!) });
  }
  return rows;
}

type Held = Pick<SentenceRow, "tests" | "differs" | "noBehaviour" | "pending">;

function parseHeld(cell: string): Held {
  const parts = cell.split("<br>").map((part) => part.replaceAll("\\|", "|").trim());
  const [, subject, reason] = parts.map((part) => /^differs from «(.+?)»: (.+)$/.exec(part)).find(Boolean) ?? [];
  const held: Held = {
    tests: parts.filter((part) => part.startsWith("test/")),
    differs: subject === undefined ? null : { subject, reason: reason! },
    noBehaviour: after("states no behaviour: ", parts),
    pending: after("pending: ", parts),
  };
  const ways = [held.noBehaviour, held.pending].filter((each) => each !== null).length;
  if (ways + Number(held.tests.length > 0 || held.differs !== null) !== 1)
    throw new Error(`held by nothing, or by two things of different kinds: ${cell}`);
  if (parts.length !== held.tests.length + Number(held.differs !== null) + ways) throw new Error(`unknown: ${cell}`);
  return held;
}

function after(start: string, parts: readonly string[]): string | null {
  return parts.find((part) => part.startsWith(start))?.slice(start.length) ?? null;
}
