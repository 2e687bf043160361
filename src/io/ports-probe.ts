import { createServer } from "node:net";
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
