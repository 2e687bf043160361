import { Client, type ClientDuplexStream, Metadata, type StatusObject } from "@grpc/grpc-js";
import type { DeltaDiscoveryRequest } from "../../api/generated/envoy/service/discovery/v3/DeltaDiscoveryRequest.ts";
import type { DeltaDiscoveryResponse__Output } from "../../api/generated/envoy/service/discovery/v3/DeltaDiscoveryResponse.ts";
import type { MeshApi } from "../../api/load.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock } from "../../core/ports.ts";
import type { ResourceSink } from "./resource-sink.ts";

/** One stream to the control plane. */
export interface DeltaClient {
  close(): void;
}

export interface DeltaClientOptions {
  readonly client: Client;
  readonly api: MeshApi;
  /** What this sidecar calls itself, for people. */
  readonly nodeId: string;
  readonly sinks: readonly ResourceSink[];
  readonly clock: Clock;
  /** The first response is here: the control plane is reached and has let us in. */
  onReached(): void;
  /** The stream has ended by itself; called once, and not after `close`. */
  onEnded(reason: string): void;
}

type Stream = ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse__Output>;

/** INVALID_ARGUMENT, as Envoy answers what it cannot take. */
const REFUSED_CODE = 3;

/** Subscribes to every sink's type, gives each response to its sink, and answers when the sink has. */
export function openDeltaClient(options: DeltaClientOptions): DeltaClient {
  const { client, api, sinks, clock } = options;
  const method = api.discovery.DeltaAggregatedResources;
  const stream: Stream = client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    new Metadata(),
    {},
  );
  let isOver = false;
  let isReached = false;
  const impatience = clock.setTimer(LIMITS.handshakeTimeoutMs, () => end("the control plane does not answer"));

  function end(reason: string): void {
    if (isOver) return;
    close();
    options.onEnded(reason);
  }

  function close(): void {
    isOver = true;
    impatience.cancel();
    stream.cancel();
  }

  function take(response: DeltaDiscoveryResponse__Output): void {
    if (isOver) return;
    if (!isReached) {
      isReached = true;
      impatience.cancel();
      options.onReached();
    }
    const sink = sinks.find(({ typeUrl }) => typeUrl === response.typeUrl);
    if (sink !== undefined) void answerWhenApplied(sink, response);
  }

  async function answerWhenApplied(sink: ResourceSink, response: DeltaDiscoveryResponse__Output): Promise<void> {
    const refusal = await sink.apply(response);
    if (isOver) return;
    const errorDetail = refusal === null ? null : { code: REFUSED_CODE, message: refusal };
    stream.write({ typeUrl: sink.typeUrl, responseNonce: response.nonce, errorDetail });
  }

  stream.on("data", take);
  // "status" tells the end in every case; without a listener for "error" the process would end with the stream.
  stream.on("error", () => undefined);
  stream.on("status", (status: StatusObject) => end(`${status.details} (gRPC status ${status.code})`));
  for (const sink of sinks) stream.write(firstRequest(sink, options.nodeId));
  return { close };
}

/** Everything of the type, and what of it we have already. */
function firstRequest(sink: ResourceSink, nodeId: string): DeltaDiscoveryRequest {
  return {
    node: { id: nodeId },
    typeUrl: sink.typeUrl,
    resourceNamesSubscribe: ["*"],
    initialResourceVersions: Object.fromEntries(sink.held()),
  };
}
