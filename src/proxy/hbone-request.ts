import { type IpAddress, parseIp } from "../core/cidr.ts";
import { CardeaError } from "../core/errors.ts";
import { parseAuthority } from "../wire/authority.ts";
import type { RequestHead } from "../wire/http1-head.ts";

/** What a CONNECT of HBONE is judged by, besides what it says itself. */
export interface HboneRules<T> {
  /** IP literal: our own end of the accepted connection. */
  readonly localIp: string;
  /** What can be reached, by the port as policies mean it. */
  readonly find: (port: number) => T | undefined;
  /** The mesh's own ports on this host. */
  readonly ownPorts: readonly number[];
}

/**
 * A request on the HBONE port → the port that it asks for. It must be a plain CONNECT whose authority is our own
 * address as an IP literal with one of the workload's declared ports: a name, another address or a port of the mesh
 * itself would make this sidecar somebody's way into other places.
 * Errors: `bad-request`, `loop-refused`, `no-route`.
 */
export function readHboneRequest<T>(head: RequestHead, { localIp, find, ownPorts }: HboneRules<T>): T {
  if (head.method !== "CONNECT") throw new CardeaError("bad-request", `${head.method} is no method of this port`);
  const { host, port } = parseAuthority(head.host ?? "");
  if (port === null) throw new CardeaError("bad-request", "the authority names no port");
  const address = parseIp(host);
  if (address === null) throw new CardeaError("bad-request", "the authority is no IP address");
  // An address of IPv4 written as one of IPv6 is a second spelling, and refused.
  const isWrittenAlike = host.includes(":") === localIp.includes(":");
  if (!isWrittenAlike || !isSame(address, parseIp(localIp)))
    throw new CardeaError("bad-request", `${host} is not where this came to`);
  const found = find(port);
  if (found !== undefined) return found;
  if (ownPorts.includes(port)) throw new CardeaError("loop-refused", `${port} is a port of the mesh itself`);
  throw new CardeaError("no-route", `the workload declares no port ${port}`);
}

function isSame(one: IpAddress, other: IpAddress | null): boolean {
  return other !== null && one.family === other.family && one.bits === other.bits;
}
