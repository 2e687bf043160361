import net from "node:net";

// Loopback ports are each network namespace's own, UNIX sockets are everybody's: a TCP port of one namespace is reached
// from another by a pair of relays. As a program: `node unix-relay.ts PORT SOCKET` listens on the loopback port.

/** Whoever connects to the UNIX socket reaches the loopback port of this process's namespace. */
export function relayToPort(socketPath: string, port: number): Promise<net.Server> {
  return listen({ path: socketPath }, () => net.connect({ host: "127.0.0.1", port }));
}

function listen(at: net.ListenOptions, dial: () => net.Socket): Promise<net.Server> {
  const server = net.createServer((caller) => {
    const called = dial();
    for (const [each, other] of [
      [caller, called],
      [called, caller],
    ] as const)
      each.on("error", () => {}).on("close", () => void other.destroy());
    caller.pipe(called).pipe(caller);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(at, () => resolve(server));
  });
}

if (process.argv[1] === import.meta.filename) {
  const [port = "", socketPath = ""] = process.argv.slice(2);
  void listen({ host: "127.0.0.1", port: Number(port) }, () => net.connect(socketPath)).then(() =>
    process.stdout.write("relaying\n"),
  );
}
