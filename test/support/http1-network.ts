import type { Network } from "../../src/core/ports.ts";

/** A network in which nobody offers HTTP/2, as with peers that do not have it. */
export function withoutHttp2(network: Network): Network {
  return {
    listen: (at, onConnection) => network.listen(at, onConnection),
    dial: (to, options) => network.dial(to, options),
    createTlsContext: (material) => network.createTlsContext(material),
    serveTls: (connection, head, options) => network.serveTls(connection, head, options),
    startTls: (connection, options) =>
      network.startTls(connection, { ...options, alpn: options.alpn.filter((protocol) => !protocol.endsWith("h2")) }),
  };
}
