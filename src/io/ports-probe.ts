import { connect, createServer } from "node:net";
import type { Address } from "../core/ports.ts";

/**
 * Whether a port can be listened on right now. A hint, not a promise: somebody else may take it before we do, and
 * then the listener says so.
 */
export function isPortFree(at: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: at.host, port: at.port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Whether somebody listens on a port: found out by connecting, because listening could be in the way of who wants to. */
export function isListening(at: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: at.host, port: at.port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
