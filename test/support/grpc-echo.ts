import {
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  credentials,
  type ChannelOptions,
  makeGenericClientConstructor,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import type { Address } from "../../src/core/ports.ts";

/** A gRPC service of text messages, in each of the four kinds, by @grpc/grpc-js; no .proto is needed for text. */
export interface EchoServer {
  readonly address: Address;
  /** Resolves when the next unary call has come. */
  nextUnary(): Promise<void>;
  /** Resolves with the method of the next call that is called off. */
  nextCancelled(): Promise<string>;
  /** Milliseconds left of the deadline that the last unary call came with; Infinity without one. */
  readonly leftMs: number;
  close(): void;
}

type Text = string;
type Callback = (error: ServiceError | null, text?: Text) => void;

export interface EchoClient {
  unary(text: Text, metadata: Metadata, options: { deadline?: number }, callback: Callback): ClientUnaryCall;
  forbidden(text: Text, callback: Callback): ClientUnaryCall;
  collect(metadata: Metadata, callback: Callback): ClientWritableStream<Text>;
  count(text: Text): ClientReadableStream<Text>;
  talk(): ClientDuplexStream<Text, Text>;
  close(): void;
}

export function openEchoClient(target: string, options: ChannelOptions = {}): EchoClient {
  const Client = makeGenericClientConstructor(SERVICE, "Echo");
  return new Client(target, credentials.createInsecure(), options) as unknown as EchoClient;
}

export async function openEchoServer(at = "127.0.0.1:0"): Promise<EchoServer> {
  let leftMs = Infinity;
  let onUnary: (() => void) | null = null;
  let onCancelled: ((name: string) => void) | null = null;
  const watch = (name: string, call: { on(event: "cancelled", then: () => void): unknown }) =>
    call.on("cancelled", () => onCancelled?.(name));
  const server = new Server();
  server.addService(SERVICE, {
    unary(call: ServerUnaryCall<Text, Text>, callback: sendUnaryData<Text>) {
      watch("unary", call);
      leftMs = Number(call.getDeadline()) - Date.now();
      onUnary?.();
      // Nobody answers these: whoever asks gives up, or comes to the end of the deadline.
      if (call.request === "never") return;
      if (call.request === "fail") {
        callback({ code: status.FAILED_PRECONDITION, details: "not like this: ä", metadata: new Metadata() });
        return;
      }
      const head = new Metadata();
      for (const value of call.metadata.get("x-asked")) head.add("x-answered", value);
      for (const value of call.metadata.get("x-asked-bin")) head.add("x-answered-bin", value);
      call.sendMetadata(head);
      const trailer = new Metadata();
      trailer.set("x-trailer", "at the end");
      callback(null, call.request, trailer);
    },
    forbidden: (_call: ServerUnaryCall<Text, Text>, callback: sendUnaryData<Text>) => callback(null, "reached"),
    collect(call: ServerReadableStream<Text, Text>, callback: sendUnaryData<Text>) {
      const texts: Text[] = [];
      call.on("data", (text: Text) => texts.push(text)).on("end", () => callback(null, texts.join("")));
    },
    count(call: ServerWritableStream<Text, Text>) {
      watch("count", call);
      for (let i = 0; i < Number.parseInt(call.request, 10); i++) call.write(String(i));
      // "3 and on" stays open after three.
      if (!call.request.endsWith("on")) call.end();
    },
    talk(call: ServerDuplexStream<Text, Text>) {
      watch("talk", call);
      call.on("data", (text: Text) => call.write(`re: ${text}`)).on("end", () => call.end());
    },
  });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync(at, ServerCredentials.createInsecure(), (error, port) =>
    error === null ? resolve(port) : reject(error),
  );
  const port = await promise;
  return {
    address: { host: "127.0.0.1", port },
    nextUnary: () => new Promise((done) => void (onUnary = done)),
    nextCancelled: () => new Promise((done) => void (onCancelled = done)),
    get leftMs() {
      return leftMs;
    },
    close: () => server.forceShutdown(),
  };
}

const METHODS = {
  unary: [false, false],
  forbidden: [false, false],
  collect: [true, false],
  count: [false, true],
  talk: [true, true],
} as const;

const SERVICE: ServiceDefinition = Object.fromEntries(
  Object.entries(METHODS).map(([name, [requestStream, responseStream]]) => [
    name,
    {
      path: `/shop.Echo/${name}`,
      requestStream,
      responseStream,
      requestSerialize: (text: Text) => Buffer.from(text),
      requestDeserialize: (bytes: Buffer) => bytes.toString(),
      responseSerialize: (text: Text) => Buffer.from(text),
      responseDeserialize: (bytes: Buffer) => bytes.toString(),
    },
  ]),
);
