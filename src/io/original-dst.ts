import type { Address, OriginalDestination } from "../core/ports.ts";
import { loadKoffi } from "./koffi.ts";
import { SocketConnection } from "./socket-connection.ts";

/**
 * Asks the kernel's connection tracking, through the package koffi: a sidecar that captures nothing needs none. Errors: what the loader throws where the package is not installed.
 */
export function openOriginalDestination(): OriginalDestination {
  // The C library that the runtime is linked with, whichever that is.
  const getsockopt = loadKoffi().load(null).func("int getsockopt(int, int, int, void *, void *)");
  return {
    of(connection) {
      const fd = connection instanceof SocketConnection ? connection.fileDescriptor : null;
      if (fd === null) return null;
      const isIpv4 = !connection.local.host.includes(":");
      // One buffer for all: nothing happens between the call and the reading of it.
      LENGTH.writeUInt32LE(ADDRESS.length);
      const failed = getsockopt(fd, isIpv4 ? SOL_IP : SOL_IPV6, SO_ORIGINAL_DST, ADDRESS, LENGTH);
      // Not tracked (ENOENT), for one: then nobody redirected it.
      if (failed !== 0) return null;
      return isIpv4 ? readIpv4(ADDRESS) : readIpv6(ADDRESS);
    },
  };
}

/** linux/in.h, linux/in6.h; linux/netfilter_ipv4.h and netfilter_ipv6/ip6_tables.h give both options the same number. */
const SOL_IP = 0;
const SOL_IPV6 = 41;
const SO_ORIGINAL_DST = 80;

/** struct sockaddr_in6, the longer of the two: family, port, flow, address, scope. */
const ADDRESS = Buffer.alloc(28);
const LENGTH = Buffer.alloc(4);
const PORT_OFFSET = 2;
const IPV4_OFFSET = 4;
const IPV6_OFFSET = 8;

function readIpv4(sockaddr: Buffer): Address {
  const host = sockaddr.subarray(IPV4_OFFSET, IPV4_OFFSET + 4).join(".");
  return { host, port: sockaddr.readUInt16BE(PORT_OFFSET) };
}

function readIpv6(sockaddr: Buffer): Address {
  const groups = Array.from({ length: 8 }, (_, group) => sockaddr.readUInt16BE(IPV6_OFFSET + group * 2).toString(16));
  return { host: groups.join(":"), port: sockaddr.readUInt16BE(PORT_OFFSET) };
}
