/**
 * MurmurHash3's 32-bit form over a text's low octets: what must come out the same in every sidecar and after every
 * start. No defence against chosen keys, which can only crowd one workload of the caller's own choice.
 */
export function stableHash(text: string, seed = 0): number {
  let hash = seed | 0;
  const whole = text.length & ~3;
  for (let i = 0; i < whole; i += 4) hash = mixBlock(hash, fourOctets(text, i));
  if (whole < text.length) hash ^= scramble(lastOctets(text, whole));
  return finish(hash ^ text.length);
}

function fourOctets(text: string, at: number): number {
  return (
    (text.charCodeAt(at) & 0xff) |
    ((text.charCodeAt(at + 1) & 0xff) << 8) |
    ((text.charCodeAt(at + 2) & 0xff) << 16) |
    ((text.charCodeAt(at + 3) & 0xff) << 24)
  );
}

function lastOctets(text: string, from: number): number {
  let block = 0;
  for (let i = text.length - 1; i >= from; i--) block = (block << 8) | (text.charCodeAt(i) & 0xff);
  return block;
}

function mixBlock(hash: number, block: number): number {
  const mixed = hash ^ scramble(block);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

function scramble(block: number): number {
  const spread = Math.imul(block, 0xcc9e2d51);
  return Math.imul((spread << 15) | (spread >>> 17), 0x1b873593);
}

function finish(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
