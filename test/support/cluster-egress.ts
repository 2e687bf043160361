import { readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";

// How an API server on loopback reaches Services and pods in network namespaces: as in clusters whose control plane lives
// in a network of its own, it asks an HTTP CONNECT proxy at a UNIX socket, which is in the nodes' network and does
// kube-proxy's part. As a program: `node cluster-egress.ts SOCKET SERVICES`; the file SERVICES is read at each connection.

/** Addresses that are tried in their order, by the Service's own address and port. */
export type ServiceTable = Readonly<Record<string, readonly string[]>>;

/** What kube-apiserver is told by `--egress-selector-config-file`. */
export function egressConfiguration(socketPath: string): object {
  return {
    apiVersion: "apiserver.k8s.io/v1beta1",
    kind: "EgressSelectorConfiguration",
    egressSelections: [
      {
        name: "cluster",
        connection: { proxyProtocol: "HTTPConnect", transport: { uds: { udsName: socketPath } } },
      },
    ],
  };
}

function serve(socketPath: string, servicesFile: string): void {
  const server = http.createServer();
  server.on("connect", (request, caller: net.Socket) => {
    const table = JSON.parse(readFileSync(servicesFile, "utf8")) as ServiceTable;
    connect(caller, table[request.url!] ?? [request.url!]);
  });
  server.listen(socketPath, () => process.stdout.write("serving\n"));
}

function connect(caller: net.Socket, [address, ...others]: readonly string[]): void {
  if (address === undefined) {
    caller.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    return;
  }
  const { hostname, port } = new URL(`tcp://${address}`);
  const called = net.connect({ host: hostname.replaceAll(/[[\]]/g, ""), port: Number(port) });
  const again = (): void => connect(caller, others);
  called.once("error", again);
  called.once("connect", () => {
    called.off("error", again);
    caller.write("HTTP/1.1 200 Connection established\r\n\r\n");
    for (const [each, other] of [
      [caller, called],
      [called, caller],
    ] as const)
      each.on("error", () => {}).on("close", () => void other.destroy());
    caller.pipe(called).pipe(caller);
  });
}

if (process.argv[1] === import.meta.filename) serve(process.argv[2]!, process.argv[3]!);
