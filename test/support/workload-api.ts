import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { createLatest, type LatestSource } from "../../src/core/latest.ts";
import type { Clock } from "../../src/core/ports.ts";
import { systemClock } from "../../src/io/clock.ts";
import { listenUnix } from "../../src/io/unix-listener.ts";
import { type TrustBundle, type TrustBundles, trustBundlesOf } from "../../src/pki/bundle.ts";
import type { RequestCertificate } from "../../src/proxy/identity/certificate-client.ts";
import type { Identity } from "../../src/proxy/identity/identity.ts";
import { createWorkloadApi, type WorkloadApi } from "../../src/proxy/workload-api/workload-api.ts";
import type { CallControl } from "../../src/proxy/calls/control-call.ts";
import { createTokenControl, type TokenControl } from "./token-control.ts";
import { createKeptLog, type KeptLog } from "./kept-log.ts";
import { createTestAuthority, shopId, type TestAuthority } from "./test-authority.ts";
import { testRandom } from "./test-control.ts";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";

// The Workload API on a real UNIX socket, asked by grpc-js, which reads the definitions by itself.

const OPTIONS = { longs: Number, enums: String, defaults: true, oneofs: true, includeDirs: ["src/api/proto"] };
const DEFINITIONS = loadSync(["spiffe/workload.proto", "envoy/service/secret/v3/sds.proto"], OPTIONS);

const WorkloadClient = grpc.makeGenericClientConstructor(
  DEFINITIONS["SpiffeWorkloadAPI"] as grpc.ServiceDefinition,
  "SpiffeWorkloadAPI",
);

const SecretClient = grpc.makeGenericClientConstructor(
  DEFINITIONS["envoy.service.secret.v3.SecretDiscoveryService"] as grpc.ServiceDefinition,
  "SecretDiscoveryService",
);

/** A client of Envoy's Secret Discovery Service by grpc-js. */
export function secretClient(path: string): grpc.Client {
  return new SecretClient(`unix:${path}`, grpc.credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
}

export interface Conversation<Request, Response> {
  send(request: Request): void;
  /** The next answer that has not been taken; rejects with the call's error. */
  next(): Promise<Response>;
  /** Answers that have come and were not taken. */
  readonly waiting: number;
  cancel(): void;
}

/** A call with streams both ways. */
export function converse<Request, Response>(client: grpc.Client, method: string): Conversation<Request, Response> {
  type Begin = (metadata: grpc.Metadata) => grpc.ClientDuplexStream<Request, Response>;
  const call = (client as unknown as Record<string, Begin>)[method]!(new grpc.Metadata());
  const answers = answersOf(call);
  return {
    send: (request) => void call.write(request),
    next: () => answers.next(),
    get waiting() {
      return answers.come.length;
    },
    cancel: () => call.cancel(),
  };
}

/** What says that a caller means it. */
export function meant(): grpc.Metadata {
  const metadata = new grpc.Metadata();
  metadata.set("workload.spiffe.io", "true");
  return metadata;
}

export interface ServedApi {
  readonly path: string;
  readonly api: WorkloadApi;
  readonly log: KeptLog;
  readonly authority: TestAuthority;
  readonly sidecar: LatestSource<Identity | null>;
  readonly bundles: LatestSource<TrustBundles>;
  /** Identities by which certificates were asked for. */
  readonly asked: (string | null)[];
  readonly control: TokenControl;
  close(): Promise<void>;
}

export interface ServedApiOptions {
  readonly clock?: Clock;
  /** What the authority does; left out: it issues what is asked for. */
  readonly requestCertificate?: RequestCertificate;
  readonly sidecar?: Identity | null;
  /** What the control plane answers; left out: tokens and keys of its own. */
  readonly callControl?: CallControl;
  readonly caller?: () => number | null;
  /** Of other trust domains. */
  readonly federated?: readonly TrustBundle[];
}

export const APP_ID = parseSpiffeId(shopId("web"));

/** Serves on a socket of a directory of its own. */
export async function serveWorkloadApi(options: ServedApiOptions = {}): Promise<ServedApi> {
  const directory = mkdtempSync(join(tmpdir(), "cardea-wl-"));
  const path = join(directory, "api.sock");
  const clock = options.clock ?? systemClock;
  const authority = createTestAuthority("cluster.local", clock.wallMs());
  const own = options.sidecar === undefined ? authority.issue(APP_ID) : options.sidecar;
  const sidecar = createLatest<Identity | null>(own);
  const bundles = createLatest<TrustBundles>(trustBundlesOf(authority.bundle, ...(options.federated ?? [])));
  const asked: (string | null)[] = [];
  const control = createTokenControl(clock);
  const log = createKeptLog();
  const api = createWorkloadApi({
    spiffeId: APP_ID,
    ttlSec: 3_600,
    bundles,
    sidecar,
    clock,
    random: testRandom,
    logger: log,
    callControl: options.callControl ?? control.call,
    requestCertificate: (request, signal) => {
      asked.push(request.identity?.serial ?? null);
      return (options.requestCertificate ?? ((each) => Promise.resolve(authority.sign(each.csrPem))))(request, signal);
    },
  });
  const listening = await listenUnix({ path, access: "owner" }, (connection) =>
    api.serve(connection, options.caller?.() ?? null),
  );
  return {
    path,
    api,
    log,
    authority,
    sidecar,
    bundles,
    asked,
    control,
    async close() {
      api.close();
      await listening.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A client of the Workload API by grpc-js. */
export function workloadClient(path: string): grpc.Client {
  // Without this all clients of one process would share a connection.
  return new WorkloadClient(`unix:${path}`, grpc.credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
}

export interface StreamedAnswers<Message> {
  /** The next message that has not been taken; rejects with the call's error. */
  next(): Promise<Message>;
  cancel(): void;
}

/** A call with a stream of answers. */
export function streamOf<Message>(
  client: grpc.Client,
  method: string,
  metadata: grpc.Metadata,
): StreamedAnswers<Message> {
  type Begin = (request: object, metadata: grpc.Metadata) => grpc.ClientReadableStream<Message>;
  const call = (client as unknown as Record<string, Begin>)[method]!({}, metadata);
  const answers = answersOf(call);
  return { next: () => answers.next(), cancel: () => call.cancel() };
}

interface Readable<Message> {
  on(event: "data", listener: (message: Message) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

function answersOf<Message>(call: Readable<Message>): { readonly come: Message[]; next(): Promise<Message> } {
  const come: Message[] = [];
  let error: Error | null = null;
  let wake = NOBODY_WAITS;
  call.on("data", (message) => {
    come.push(message);
    wake();
  });
  call.on("error", (failure) => {
    error = failure;
    wake();
  });
  return {
    come,
    async next() {
      while (come.length === 0) {
        if (error !== null) throw error;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return come.shift()!;
    },
  };
}

const NOBODY_WAITS = (): void => {};

/** A call with one answer. */
export function unaryOf<Message>(
  client: grpc.Client,
  method: string,
  request: object,
  metadata: grpc.Metadata,
): Promise<Message> {
  type Unary = (r: object, m: grpc.Metadata, done: (error: Error | null, answer?: Message) => void) => void;
  return new Promise((resolve, reject) => {
    (client as unknown as Record<string, Unary>)[method]!(request, metadata, (error, answer) => {
      if (error !== null) reject(error);
      else resolve(answer!);
    });
  });
}
