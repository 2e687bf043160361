import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { EXPORT_TRACES } from "../../src/api/otlp-messages.ts";

/** A collector of traces that is not the mesh's: it keeps what came, as it came. */
export interface OtlpCollector {
  /** For `tracing.endpoint`. */
  readonly endpoint: string;
  readonly requests: readonly Buffer[];
  /** What it answers from now on: over HTTP a status, over gRPC 0 or a code. */
  answer: number;
  /** Requests that were answered otherwise than well. */
  refused: number;
  close(): Promise<void>;
}

export async function openHttpCollector(port = 0): Promise<OtlpCollector> {
  const requests: Buffer[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      const isTraces = request.url === "/v1/traces" && request.headers["content-type"] === "application/x-protobuf";
      if (isTraces && collector.answer === 200) requests.push(Buffer.concat(pieces));
      else collector.refused++;
      response.writeHead(isTraces ? collector.answer : 404).end();
    });
  });
  const collector = {
    endpoint: `http://127.0.0.1:${await listen(server, port)}`,
    requests,
    answer: 200,
    refused: 0,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return collector;
}

export async function openGrpcCollector(): Promise<OtlpCollector> {
  const requests: Buffer[] = [];
  const server = new Server();
  server.addService(
    {
      Export: {
        path: EXPORT_TRACES,
        requestStream: false,
        responseStream: false,
        requestSerialize: asBytes,
        requestDeserialize: asBytes,
        responseSerialize: asBytes,
        responseDeserialize: asBytes,
      },
    },
    {
      Export(call: { readonly request: Buffer }, answer: (error: object | null, bytes?: Buffer) => void) {
        if (collector.answer !== 0) {
          collector.refused++;
          return answer({ code: collector.answer, details: "not now" });
        }
        requests.push(call.request);
        answer(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const collector = {
    endpoint: `http://127.0.0.1:${port}`,
    requests,
    answer: 0,
    refused: 0,
    close: async () => server.forceShutdown(),
  };
  return collector;
}

function listen(server: HttpServer, port: number): Promise<number> {
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

function asBytes(bytes: Buffer): Buffer {
  return bytes;
}
