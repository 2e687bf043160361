/** The bytes of a TLS 1.3 ClientHello that says no more than it must: who is meant, and which protocols are offered. */
export function clientHello({ alpn, sni }: { alpn: readonly string[]; sni: string | null }): Buffer {
  const name = sni === null ? [] : [extension(0, vector(2, Buffer.from([0]), vector(2, Buffer.from(sni))))];
  const names = alpn.map((each) => vector(1, Buffer.from(each)));
  const protocols = alpn.length === 0 ? [] : [extension(16, vector(2, ...names))];
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    vector(1),
    vector(2, Buffer.from([0x13, 1])),
    vector(1, Buffer.from([0])),
    vector(2, ...name, ...protocols),
  ]);
  return Buffer.concat([Buffer.from([0x16, 3, 1]), vector(2, Buffer.from([1]), vector(3, body))]);
}

function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0, type]), vector(2, content)]);
}

/** RFC 8446 section 3.4: its length in so many octets, then the content. */
function vector(lengthOctets: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const length = Buffer.alloc(lengthOctets);
  length.writeUIntBE(content.length, 0, lengthOctets);
  return Buffer.concat([length, content]);
}
