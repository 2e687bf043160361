import * as fc from "fast-check";

/** A field of a head: mostly sound, sometimes telling. */
const fieldName = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("X-A", "Accept", "Cookie", "x_b") },
  {
    weight: 2,
    arbitrary: fc.constantFrom("Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Upgrade"),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 6 }) },
);
const fieldValue = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom("a", "", "close", "keep-alive", "chunked", "100-continue", "websocket", "upgrade"),
  },
  { weight: 2, arbitrary: fc.nat({ max: 20 }).map(String) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
);
const lineEnd = fc.oneof(
  { weight: 60, arbitrary: fc.constant("\r\n") },
  { weight: 1, arbitrary: fc.constantFrom("\n", "\r", "\r\n ") },
);
const colon = fc.oneof(
  { weight: 60, arbitrary: fc.constant(": ") },
  { weight: 1, arbitrary: fc.constantFrom(":", " :", "", ":\t") },
);

const field = fc.tuple(fieldName, colon, fieldValue, lineEnd).map((parts) => parts.join(""));
const target = fc.oneof(
  fc.constantFrom("/", "/a?b", "*", "http://a/b", "a:80", "/a#b", ""),
  fc.webPath().map((path) => `/${path}`),
);

/** Requests from the grammar, with a fault here and there; fast-check shrinks what fails. */
export const requestInput: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.constantFrom("GET", "POST", "OPTIONS", "CONNECT", "get", "M-SEARCH"),
    target,
    fc.constantFrom("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "http/1.1"),
    fc.constantFrom("Host: a\r\n", "Host: a\r\n", "Host: a:80\r\n", ""),
    fc.array(field, { maxLength: 5 }),
    fc.string({ unit: "binary", maxLength: 30 }),
  )
  .map(([method, path, version, host, fields, rest]) =>
    Buffer.from(`${method} ${path} ${version}\r\n${host}${fields.join("")}\r\n${rest}`, "latin1"),
  );

/** Answers in the same way. */
export const responseInput: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.constantFrom("HTTP/1.1", "HTTP/1.0", "HTTP/2.0"),
    fc.integer({ min: 90, max: 1_010 }),
    fc.string({ maxLength: 8 }),
    fc.array(field, { maxLength: 5 }),
    fc.string({ unit: "binary", maxLength: 30 }),
  )
  .map(([version, status, reason, fields, rest]) =>
    Buffer.from(`${version} ${status} ${reason}\r\n${fields.join("")}\r\n${rest}`, "latin1"),
  );

const extension = fc.constantFrom("", "", "", ";a", ";a=b", ';a="b"', " ;a", ";");
const chunk = fc
  .tuple(
    fc.string({ unit: "binary", minLength: 1, maxLength: 40 }),
    extension,
    lineEnd,
    fc.integer({ min: -1, max: 20 }),
  )
  .map(([data, extensions, end, drift]) => {
    const size = Buffer.from(data, "latin1").length + (drift > 1 ? 0 : drift);
    return `${size.toString(16)}${extensions}${end}${data}\r\n`;
  });

/** Chunked bodies whose sizes are now and then off by one. */
export const chunkedInput: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.array(chunk, { maxLength: 5 }),
    fc.array(field, { maxLength: 2 }),
    fc.string({ unit: "binary", maxLength: 10 }),
  )
  .map(([chunks, trailers, rest]) => Buffer.from(`${chunks.join("")}0\r\n${trailers.join("")}\r\n${rest}`, "latin1"));
