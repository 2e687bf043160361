import type { SeededRandom } from "./random.ts";

/** One request of HTTP/2 as it is sent: fields as they stand, pseudo ones included, and its DATA. */
export interface CrossingRequest {
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly data: readonly Buffer[];
  readonly trailers: readonly (readonly [name: string, value: string])[];
}

const LINE = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/a/b?c=d"],
  [":authority", "orders"],
] as const;

const METHODS = [
  "GET",
  "POST",
  "PUT",
  "HEAD",
  "OPTIONS",
  "DELETE",
  "PATCH",
  "CONNECT",
  "get",
  "G T",
  "G:T",
  "G\r\nT",
  "",
];
const PATHS = [
  "/",
  "/a?b",
  "/a/../b",
  "/a//b",
  "*",
  "",
  "a",
  "?a",
  "http://evil/a",
  "//evil/a",
  "/a b",
  "/a HTTP/1.1\r\nHost: evil",
  "/a\r\n",
  "/a#b",
  "/%0d%0aHost:%20evil",
  "/\u00e9",
  "/\0",
  "/\\..\\b",
];
const AUTHORITIES = [
  "orders",
  "orders:80",
  "ORDERS",
  "evil",
  "",
  "a@orders",
  "orders/",
  "orders\r\nx: y",
  "orders, evil",
];

/** What means something to one of the two protocols and not, or another thing, to the other. */
const TELLING = [
  ["host", "orders"],
  ["host", "evil"],
  ["te", "trailers"],
  ["te", "chunked"],
  ["connection", "close"],
  ["connection", "x-a"],
  ["keep-alive", "timeout=5"],
  ["proxy-connection", "keep-alive"],
  ["upgrade", "websocket"],
  ["transfer-encoding", "chunked"],
  ["transfer-encoding", "identity"],
  ["content-length", "0"],
  ["content-length", "5"],
  ["content-length", "05"],
  ["content-length", "5, 5"],
  ["content-length", "+5"],
  ["content-length", "99999999999999999999"],
  ["expect", "100-continue"],
  ["cookie", "a=b"],
  ["cookie", "c=d"],
  ["x-a", "1"],
  ["x-a", " 1"],
  ["x-a", "1\t"],
  ["x-a", "1\r\nx-b: 2"],
  ["x-a", "1\n\nGET /smuggled HTTP/1.1\r\nhost: orders\r\n\r\n"],
  ["x-a", "\0"],
  ["x-a", "\u00e9"],
  ["X-A", "1"],
  ["x a", "1"],
  ["x:a", "1"],
  ["x-a:", "1"],
  ["x-a\r\n", "1"],
  ["", "1"],
  [":path", "/second"],
  [":authority", "second"],
  [":unknown", "1"],
  [":protocol", "websocket"],
  ["x-cardea-denial", "forged"],
  ["x_forwarded_client_cert", "forged"],
  ["trailer", "x-sum"],
] as const;

const OCTETS = "\r\n\0\t :;,/?#@%=aA0_-\u007f\u0080\u00ff".split("");

/** A request with none to four things changed in it. */
export function drawCrossing(random: SeededRandom): CrossingRequest {
  const fields = LINE.map(([name, value]) => [name, value] as [string, string]);
  const data = Array.from({ length: random.below(3) }, () => Buffer.from("0\r\n\r\nhello".slice(0, random.below(11))));
  // Half of them say how long they are, and so it is until that is changed.
  if (random.below(2) === 0) fields.push(["content-length", String(Buffer.concat(data).length)]);
  const trailers: [string, string][] = random.below(4) === 0 ? [["x-sum", "1"]] : [];
  for (let left = random.below(5); left > 0; left--) random.pick(CHANGES)(fields, trailers, random);
  return { fields, data, trailers };
}

type Change = (fields: [string, string][], trailers: [string, string][], random: SeededRandom) => void;

const CHANGES: readonly Change[] = [
  (fields, _, random) => setValue(fields, ":method", random.pick(METHODS)),
  (fields, _, random) => setValue(fields, ":path", random.pick(PATHS)),
  (fields) => {
    setValue(fields, ":method", "CONNECT");
    fields.splice(4, 0, [":protocol", "websocket"]);
  },
  (fields, _, random) => setValue(fields, ":authority", random.pick(AUTHORITIES)),
  addTelling,
  addTelling,
  addTelling,
  (fields, _, random) => void fields.splice(random.below(fields.length), 1),
  (fields, _, random) => void fields.splice(random.below(fields.length + 1), 0, [...random.pick(fields)]),
  (fields, _, random) => void fields.push(...fields.splice(random.below(fields.length), 1)),
  changeOctet,
  (_, trailers, random) => void trailers.push([...random.pick(TELLING)]),
];

function addTelling(fields: [string, string][], _: unknown, random: SeededRandom): void {
  fields.splice(random.below(3) === 0 ? random.below(fields.length + 1) : fields.length, 0, [...random.pick(TELLING)]);
}

function changeOctet(fields: [string, string][], _: unknown, random: SeededRandom): void {
  const field = random.pick(fields);
  const which = random.below(4) === 0 ? 0 : 1;
  const at = random.below(field[which].length + 1);
  field[which] = field[which].slice(0, at) + random.pick(OCTETS) + field[which].slice(at + random.below(2));
}

function setValue(fields: [string, string][], name: string, value: string): void {
  const field = fields.find(([each]) => each === name);
  if (field !== undefined) field[1] = value;
}
