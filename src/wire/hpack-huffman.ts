/**
 * Decodes the Huffman-coded string in `source` from `start` to `end` into `into`, which must have room for 8/5 of its
 * length. Returns the number of octets written, or -1 when the string is not valid: it holds EOS, or its padding is
 * longer than seven bits or not of ones. One look-up for each half octet. RFC 7541 section 5.2.
 */
export function decodeHuffman(source: Uint8Array, start: number, end: number, into: Uint8Array): number {
  let state = 0;
  let written = 0;
  for (let at = start; at < end; at++) {
    const octet = source[at]!;
    const first = STEPS[(state << 4) | (octet >> 4)]!;
    if (first < 0) return -1;
    if ((first & EMITS) !== 0) into[written++] = first >> 8;
    const second = STEPS[((first & 0xff) << 4) | (octet & 15)]!;
    if (second < 0) return -1;
    if ((second & EMITS) !== 0) into[written++] = second >> 8;
    state = second & 0xff;
  }
  return MAY_END[state] === 1 ? written : -1;
}

/**
 * Bits of the code of each octet and of EOS, as digits in base 36. The code is canonical: codes of one length ascend
 * with their symbols, and each length goes on where the shorter one stopped, so the lengths are all there is to know.
 * RFC 7541 appendix B.
 */
const CODE_LENGTHS =
  "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6f565656665776665" +
  "67655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmnqqkjmnmpqqqrrqopjlqrrqrollqqsrrr" +
  "koklmllnmmppooqnqrqqrrrrrsrrrrrqu";
const EOS = 256;

/** Set in a step that completes a symbol: bit 16. Below it the symbol (8 bits) and the next state (8 bits). */
const EMITS = 0x1_0000;

/** By state (an inner node of the code's tree) and four bits; negative where they complete EOS. */
const STEPS = new Int32Array(256 * 16);

/** 1 for the states that the padding may end in: up to seven ones behind a symbol. */
const MAY_END = new Uint8Array(256);

fillTables();

function fillTables(): void {
  const children = buildTree();
  for (let state = 0; state < 256; state++) {
    for (let bits = 0; bits < 16; bits++) STEPS[(state << 4) | bits] = stepOf(children, state, bits);
  }
  let node = 0;
  for (let ones = 0; ones < 8; ones++) {
    MAY_END[node] = 1;
    node = children[node * 2 + 1]!;
  }
}

/** Two entries a node: the next inner node, or, negative, the complement of a symbol. */
function buildTree(): Int32Array {
  const children = new Int32Array(512);
  const lengths = Uint8Array.from(CODE_LENGTHS, (digit) => Number.parseInt(digit, 36));
  let nodeCount = 1;
  let code = 0;
  for (let length = 5; length <= 30; length++) {
    code *= 2;
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (lengths[symbol] !== length) continue;
      let node = 0;
      for (let bit = length - 1; bit > 0; bit--) {
        const branch = node * 2 + ((code >>> bit) & 1);
        if (children[branch] === 0) children[branch] = nodeCount++;
        node = children[branch]!;
      }
      children[node * 2 + (code & 1)] = ~symbol;
      code++;
    }
  }
  return children;
}

/** The shortest code has five bits, so four of them complete one symbol at the most. */
function stepOf(children: Int32Array, state: number, bits: number): number {
  let node = state;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const child = children[node * 2 + ((bits >> bit) & 1)]!;
    if (child === ~EOS) return -1;
    if (child < 0) emitted = EMITS | (~child << 8);
    node = child < 0 ? 0 : child;
  }
  return emitted | node;
}
