/** An IP address as a number with its family. IPv4-mapped IPv6 addresses are read as the IPv4 address they carry. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly bits: bigint;
}

/** A range of addresses of one family. */
export interface Cidr {
  readonly family: 4 | 6;
  /** The bits that an address must begin with. */
  readonly prefix: bigint;
  /** How many bits follow the prefix. */
  readonly hostBits: bigint;
  /** As it was written. */
  readonly text: string;
}

/** The high 96 bits of ::ffff:0:0/96 (RFC 4291 section 2.5.5.2). */
const MAPPED_HIGH_BITS = 0xffffn;
const OCTET = /^(?:0|[1-9]\d{0,2})$/;

/**
 * Text → range: an address alone (`203.0.113.4`) or with a prefix length (`203.0.113.0/24`). Bits past the
 * prefix may be set and are dropped, as Istio has it. Throws an Error that says what was expected.
 *
 * An IPv4-mapped range (`::ffff:10.0.0.0/104`) is refused: peers that arrive that way are matched as IPv4,
 * so such a range would never match and a DENY rule would silently not hold.
 */
export function parseCidr(text: string): Cidr {
  const slash = text.indexOf("/");
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === null) throw new Error(expectedCidr(text));
  if (address.family === 6 && address.bits >> 32n === MAPPED_HIGH_BITS) {
    throw new Error(`${JSON.stringify(text)} is IPv4 written as IPv6, which never matches: write the IPv4 range`);
  }
  const width = address.family === 4 ? 32 : 128;
  const prefixLength = slash < 0 ? width : parsePrefixLength(text.slice(slash + 1), width);
  if (prefixLength === null) throw new Error(expectedCidr(text));
  const hostBits = BigInt(width - prefixLength);
  return { family: address.family, prefix: address.bits >> hostBits, hostBits, text };
}

/** Text → address, or null when it is none. No zone, no leading zeros, no port, no brackets. */
export function parseIp(text: string): IpAddress | null {
  const address = parseAddress(text);
  if (address === null || address.family === 4 || address.bits >> 32n !== MAPPED_HIGH_BITS) return address;
  return { family: 4, bits: address.bits & 0xffff_ffffn };
}

/** Whether the range holds the address. An address that could not be read (null) is in no range. */
export function cidrHolds(cidr: Cidr, address: IpAddress | null): boolean {
  return address !== null && address.family === cidr.family && address.bits >> cidr.hostBits === cidr.prefix;
}

function parsePrefixLength(text: string, width: number): number | null {
  if (!OCTET.test(text)) return null;
  const length = Number(text);
  return length <= width ? length : null;
}

function parseAddress(text: string): IpAddress | null {
  if (!text.includes(":")) {
    const bits = parseIpv4(text);
    return bits === null ? null : { family: 4, bits: BigInt(bits) };
  }
  const bits = parseIpv6(text);
  return bits === null ? null : { family: 6, bits };
}

function parseIpv4(text: string): number | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  let bits = 0;
  for (const part of parts) {
    // Leading zeros are read as octal by some programs and as decimal by others.
    if (!OCTET.test(part) || Number(part) > 255) return null;
    bits = bits * 256 + Number(part);
  }
  return bits;
}

/** RFC 4291 section 2.2: eight groups, one run of zeros as `::`, the last two groups perhaps as IPv4. */
function parseIpv6(text: string): bigint | null {
  const gap = text.indexOf("::");
  if (gap < 0) {
    const groups = parseGroups(text, true);
    return groups?.length === 8 ? join(groups) : null;
  }
  const before = text.slice(0, gap);
  const after = text.slice(gap + 2);
  const head = before === "" ? [] : parseGroups(before, false);
  const tail = after === "" ? [] : parseGroups(after, true);
  if (head === null || tail === null || head.length + tail.length > 7) return null;
  return join([...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail]);
}

function parseGroups(text: string, mayEndInIpv4: boolean): number[] | null {
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (mayEndInIpv4 && i === parts.length - 1 && part.includes(".")) {
      const bits = parseIpv4(part);
      if (bits === null) return null;
      groups.push(Math.floor(bits / 0x10000), bits % 0x10000);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups;
}

function join(groups: readonly number[]): bigint {
  return groups.reduce((bits, group) => (bits << 16n) | BigInt(group), 0n);
}

function expectedCidr(text: string): string {
  return `expected an IP address or CIDR range like 10.0.0.0/8 or 2001:db8::/32, found ${JSON.stringify(text)}`;
}
