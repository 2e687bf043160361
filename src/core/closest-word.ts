/** Two words further apart than this are no slip of the hand. */
const EDITS_MAX = 2;
/** Field names are short; a longer word is not worth the table. */
const WORD_LENGTH_MAX = 64;

/**
 * The word of `known` that `word` was probably meant to be, or null. Compared without case, by edits of
 * one letter (inserted, dropped, changed, or swapped with its neighbour); of equals, the first one listed.
 */
export function closestWord(word: string, known: readonly string[]): string | null {
  if (word.length > WORD_LENGTH_MAX) return null;
  // A short word would be "close" to every other short word.
  let best = Math.min(EDITS_MAX, Math.floor(word.length / 3)) + 1;
  let closest: string | null = null;
  for (const candidate of known) {
    const edits = editsBetween(word.toLowerCase(), candidate.toLowerCase());
    if (edits < best) {
      best = edits;
      closest = candidate;
    }
  }
  return closest;
}

/** Damerau-Levenshtein distance (optimal string alignment). Infinity when it is over the bound for certain. */
function editsBetween(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > EDITS_MAX) return Infinity;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let edits = Math.min(changed, last[j]! + 1, row[j - 1]! + 1);
      const areSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (areSwapped) edits = Math.min(edits, beforeLast[j - 2]! + 1);
      row.push(edits);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
