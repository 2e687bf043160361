/** Sound inputs that mutations start from, with every construct that the codecs know. */
export const REQUEST_SEEDS = octets([
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /a/b?c=d HTTP/1.1\r\nHost: orders.shop:8080\r\nAccept: */*\r\nUser-Agent: x (y; z)\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
  "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  'PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;a;b=c;d="e"\r\nabc\r\n00\r\nX: y\r\n\r\n',
  "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n",
  "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\nGET /2 HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n",
  "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET / HTTP/1.0\r\n\r\n",
  "GET / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
  "GET http://a:80/b?c HTTP/1.1\r\nHost: d\r\n\r\n",
  "GET http://[::1]:80 HTTP/1.1\r\nHost: [::1]\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
  "CONNECT ledger:9000 HTTP/1.1\r\nHost: ledger:9000\r\n\r\n\x00\x01\x02",
  "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\r\nx",
  "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
  "GET / HTTP/1.1\r\nhost:a\r\nX-Empty:\r\nX:\t y\t z \t\r\nX: \x80\xff\r\nConnection: x-a, te, close\r\nTE: trailers\r\n\r\n",
]);

export const RESPONSE_SEEDS = octets([
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
  "HTTP/1.1 200\r\nContent-Type: text/plain\r\n\r\nuntil the end",
  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\nLocation: /a\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00",
  "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab",
  "HTTP/1.1 503 \xfcberlastet\r\nConnection: close\r\nRetry-After: 1\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n",
]);

export const CHUNKED_SEEDS = octets([
  "0\r\n\r\n",
  "5\r\nhello\r\n0\r\n\r\n",
  "1\r\na\r\n2\r\nbc\r\n003\r\ndef\r\n0\r\n\r\nGET /",
  "A;x=y\r\n0123456789\r\n0;last\r\n\r\n",
  '4;a="b;c=\\"d\\"\t";e\r\nabcd\r\n0\r\n\r\n',
  "3\r\n\r\n0\r\n2\r\n\r\n\r\n0\r\nX-Sum: 1\r\nGrpc-Status:\t0 \r\nContent-Length: 9\r\n\r\nrest",
]);

export const PATH_SEEDS = octets([
  "/",
  "/a/b?c=d",
  "/a/../b/./c",
  "//a//b/",
  "/%2e%2E/%2f%5c\\..",
  "/a;b/..;c/d?e=/../f",
  "/.well-known/a%20b",
  "*",
]);

function octets(texts: readonly string[]): readonly Buffer[] {
  return texts.map((text) => Buffer.from(text, "latin1"));
}
