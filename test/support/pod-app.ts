import http from "node:http";
import net from "node:net";
import { Metadata } from "@grpc/grpc-js";
import { openEchoClient, openEchoServer } from "./grpc-echo.ts";

// An app that knows nothing of a mesh, as a program: `serve NAME PORT` listens, `call …` calls once and prints what came.
// HTTP on 8080 and PORT, gRPC on 9090, an echo on 9000, a server that speaks first on 9025, TCP's DNS port, and on loopback
// alone an admin page on 8081.

const [role = "", ...rest] = process.argv.slice(2);
if (role === "serve") serve(rest[0]!, Number(rest[1]));
else if (role === "grpc") callGrpc(rest[0]!, rest[1]!);
else callTcp(rest[0]!, Number(rest[1]), role === "listen" ? "" : rest[2]!);

function serve(name: string, port: number): void {
  for (const each of new Set([8_080, port]))
    http.createServer((request, response) => void answer(name, request, response)).listen(each, "::");
  http.createServer((_, response) => response.end("admin page\n")).listen(8_081, "127.0.0.1");
  for (const each of [53, 9_000]) net.createServer((socket) => echo(name, socket)).listen(each, "::");
  net.createServer((socket) => socket.on("error", () => {}).end(`220 ${name}\n`)).listen(9_025, "::");
  // Says when all of it listens; the others have been asked for before.
  void openEchoServer("[::]:9090").then(() => process.stdout.write("serving\n"));
}

/** `/via?url=…` is answered with what that URL answers; all else with who was asked for what, by whom. */
async function answer(name: string, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const next = new URL(request.url!, "http://x").searchParams.get("url");
  if (next === null) {
    const { "x-forwarded-client-cert": caller } = request.headers;
    const from = request.socket.remoteAddress;
    response.end(JSON.stringify({ name, url: request.url, host: request.headers.host, from, caller }));
    return;
  }
  http
    .get(next, (upstream) => {
      response.writeHead(upstream.statusCode!, upstream.headers);
      upstream.pipe(response);
    })
    .on("error", (error) => response.writeHead(599).end(error.message));
}

function echo(name: string, socket: net.Socket): void {
  socket.on("error", () => {}).on("data", (chunk) => socket.write(`${name}: ${chunk.toString()}`));
}

/** Prints what comes within the first answer; "reset" or "refused" when there is none. */
function callTcp(host: string, port: number, text: string): void {
  const socket = net.connect({ host, port, timeout: 5_000 });
  if (text !== "") socket.write(text);
  socket.once("data", (chunk) => end(chunk.toString()));
  socket.once("end", () => end("closed"));
  socket.once("timeout", () => end("silent"));
  socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
}

function callGrpc(target: string, text: string): void {
  const client = openEchoClient(target);
  client.unary(text, new Metadata(), { deadline: Date.now() + 5_000 }, (error, answered) =>
    end(error === null ? answered! : `status ${error.code}`),
  );
}

function end(said: string): never {
  process.stdout.write(`${said.trim()}\n`);
  process.exit(0);
}
