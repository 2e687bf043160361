import type { CardeaError } from "../core/errors.ts";
import type { Connection } from "../core/ports.ts";
import { formatXfcc } from "../wire/xfcc.ts";
import type { PeerAuthorizer } from "./authorize.ts";
import { Http1ServerConnection } from "./http1/server-connection.ts";
import { Http2ServerConnection } from "./http2/server-connection.ts";
import type { InboundScope } from "./inbound.ts";
import type { Caller, OwnIdentity } from "./identify.ts";
import { InboundCaller } from "./inbound-caller.ts";
import type { Lifetime } from "./lifetime.ts";
import type { Pair } from "./record.ts";

/** Something that was permitted and goes on; a new policy is asked about it again. */
export interface Permitted {
  recheck(): void;
}

interface InboundServersOptions {
  readonly scope: InboundScope;
  /** Who calls, as it has proved; null: it has proved nothing. */
  readonly accepted: { readonly own: OwnIdentity; readonly caller: Caller | null };
  readonly authorizer: PeerAuthorizer;
  readonly pair: Pair;
  readonly lifetime: Lifetime;
  /** Where those stand that are to be asked about again. */
  readonly permitted: Set<Permitted>;
  readonly onFault: (error: CardeaError) => void;
}

/** Serves the requests that a caller makes over a connection, or over what is as good: each is authorized by itself. */
export function inboundServers(connection: Connection, options: InboundServersOptions) {
  const { scope, accepted, authorizer, pair, lifetime, permitted, onFault } = options;
  const { recorder, forward, live, policy, traceIds, clock, tries, waits, services } = scope;
  const { own, caller } = accepted;
  const serverOptions = () => {
    const xfcc = caller === null ? null : xfccOf(own, caller);
    const onOver = () => void permitted.delete(handler);
    const shared = { recorder, forward, live, policy, traceIds, tries, waits, services };
    const handler = new InboundCaller({ ...shared, authorizer, pair, xfcc, onOver });
    permitted.add(handler);
    return { handler, live, clock, lifetime, onGone: () => handler.leave() };
  };
  return {
    serveHttp1: () => new Http1ServerConnection(connection, serverOptions()),
    serveHttp2: () => new Http2ServerConnection(connection, { ...serverOptions(), onFault }),
  };
}

function xfccOf({ identity }: OwnIdentity, { certificateHash, spiffeId }: Caller): string {
  return formatXfcc({ by: identity.spiffeId, hash: certificateHash, uri: spiffeId });
}
