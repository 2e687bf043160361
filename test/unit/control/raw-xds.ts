import { Client, type ClientDuplexStream, credentials, Metadata, type StatusObject } from "@grpc/grpc-js";
import type { DeltaDiscoveryRequest } from "../../../src/api/generated/envoy/service/discovery/v3/DeltaDiscoveryRequest.ts";
import type { DeltaDiscoveryResponse__Output } from "../../../src/api/generated/envoy/service/discovery/v3/DeltaDiscoveryResponse.ts";
import { loadMeshApi } from "../../../src/api/load.ts";
import type { Address } from "../../../src/core/ports.ts";
import type { TrustBundles } from "../../../src/pki/bundle.ts";
import type { Identity } from "../../../src/proxy/identity/identity.ts";

/** A client of the gRPC library, so nothing of ours, that does nothing by itself: a test says each request. */
export interface RawXds {
  send(request: DeltaDiscoveryRequest): void;
  /** The next response that was not taken yet. */
  next(): Promise<DeltaDiscoveryResponse__Output>;
  /** Responses that wait to be taken. */
  readonly unread: number;
  readonly ended: Promise<StatusObject>;
  close(): void;
}

const CHANNEL_OPTIONS = {
  "grpc.ssl_target_name_override": "control",
  "grpc.use_local_subchannel_pool": 1,
  "grpc.max_receive_message_length": -1,
};

export interface RawXdsOptions {
  readonly address: Address;
  readonly bundles: TrustBundles;
  /** Null: it shows no certificate. */
  readonly identity: Identity | null;
}

export function openRawXds({ address, bundles, identity }: RawXdsOptions): RawXds {
  const roots = Buffer.from([...bundles.values()].map((bundle) => bundle.pem).join(""));
  const key = identity === null ? null : Buffer.from(identity.material.keyPem);
  const chain = identity === null ? null : Buffer.from(identity.material.chainPem);
  const tls = credentials.createSsl(roots, key, chain, { checkServerIdentity: () => undefined });
  const client = new Client(`${address.host}:${address.port}`, tls, CHANNEL_OPTIONS);
  const method = loadMeshApi().discovery.DeltaAggregatedResources;
  const stream: ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse__Output> =
    client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, new Metadata(), {});
  const unread: DeltaDiscoveryResponse__Output[] = [];
  const readers: ((response: DeltaDiscoveryResponse__Output) => void)[] = [];
  const ended = Promise.withResolvers<StatusObject>();
  stream.on("data", (response: DeltaDiscoveryResponse__Output) => {
    const reader = readers.shift();
    if (reader === undefined) unread.push(response);
    else reader(response);
  });
  stream.on("error", () => undefined);
  stream.on("status", (status: StatusObject) => ended.resolve(status));
  return {
    send: (request) => void stream.write(request),
    next() {
      const first = unread.shift();
      return first === undefined ? new Promise((resolve) => readers.push(resolve)) : Promise.resolve(first);
    },
    get unread() {
      return unread.length;
    },
    ended: ended.promise,
    close() {
      stream.cancel();
      client.close();
    },
  };
}
