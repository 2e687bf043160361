import { DELTA_DISCOVERY_REQUEST, DELTA_DISCOVERY_RESPONSE, type DeltaDiscoveryResponse } from "../../api/messages.ts";
import { DELTA_AGGREGATED_RESOURCES } from "../../api/methods.ts";
import { toCardeaError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { GRPC } from "../../wire/grpc-status.ts";
import { CONTROL_NAME } from "../calls/control-connection.ts";
import { beginGrpcCall } from "../calls/grpc-call.ts";
import type { Channel } from "../streams.ts";
import type { ResourceSink } from "./resource-sink.ts";

/** One stream to the control plane. */
export interface DeltaClient {
  close(): void;
}

export interface DeltaClientOptions {
  readonly channel: Channel;
  /** What this sidecar calls itself, for people. */
  readonly nodeId: string;
  readonly sinks: readonly ResourceSink[];
  readonly clock: Clock;
  /** The first response is here: the control plane is reached and has let us in. */
  onReached(): void;
  /** The stream has ended by itself; called once, and not after `close`. */
  onEnded(reason: string): void;
}

/** Subscribes to every sink's type, gives each response to its sink, and answers when the sink has. */
export function openDeltaClient(options: DeltaClientOptions): DeltaClient {
  const { channel, sinks, nodeId, clock } = options;
  let isOver = false;
  let isReached = false;
  const about = { path: DELTA_AGGREGATED_RESOURCES, authority: CONTROL_NAME, metadata: [], timeoutMs: null, clock };
  const call = beginGrpcCall(channel, about, {
    onMessage: take,
    onEnd: ({ code, message }) => end(`${message} (gRPC status ${code})`),
  });

  function end(reason: string): void {
    if (isOver) return;
    close();
    options.onEnded(reason);
  }

  function close(): void {
    isOver = true;
    for (const unsubscribe of unsubscribes) unsubscribe();
    call.cancel();
  }

  function take(message: Buffer): void {
    if (isOver) return;
    const response = decode(message);
    if (response === null) return;
    if (!isReached) {
      isReached = true;
      options.onReached();
    }
    const sink = sinks.find(({ typeUrl }) => typeUrl === response.typeUrl);
    if (sink !== undefined) void answerWhenApplied(sink, response);
  }

  /** What is no response cannot even be refused by its nonce. */
  function decode(message: Buffer): DeltaDiscoveryResponse | null {
    try {
      return DELTA_DISCOVERY_RESPONSE.deserialize(message);
    } catch (thrown) {
      end(toCardeaError(thrown).message);
      return null;
    }
  }

  async function answerWhenApplied(sink: ResourceSink, response: DeltaDiscoveryResponse): Promise<void> {
    const refusal = await sink.apply(response);
    if (isOver) return;
    // As Envoy answers what it cannot take.
    const errorDetail = refusal === null ? null : { code: GRPC.INVALID_ARGUMENT, message: refusal };
    const { typeUrl } = sink;
    call.send(DELTA_DISCOVERY_REQUEST.serialize({ typeUrl, responseNonce: response.nonce, errorDetail }));
  }

  for (const sink of sinks) call.send(firstRequest(sink, nodeId));
  const unsubscribes = sinks.flatMap(
    ({ typeUrl, interest }) =>
      interest?.subscribe((resourceNamesSubscribe, resourceNamesUnsubscribe) =>
        call.send(DELTA_DISCOVERY_REQUEST.serialize({ typeUrl, resourceNamesSubscribe, resourceNamesUnsubscribe })),
      ) ?? [],
  );
  return { close };
}

/** Everything of the type, what of it is used, and what of it we have already. */
function firstRequest(sink: ResourceSink, nodeId: string): Buffer {
  return DELTA_DISCOVERY_REQUEST.serialize({
    node: { id: nodeId },
    typeUrl: sink.typeUrl,
    resourceNamesSubscribe: ["*", ...(sink.interest?.names() ?? [])],
    initialResourceVersions: sink.held(),
  });
}
