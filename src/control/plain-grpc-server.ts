import { Server, ServerCredentials, type ServerOptions } from "@grpc/grpc-js";
import { CardeaError } from "../core/errors.ts";
import type { Address } from "../core/ports.ts";
import type { GrpcServer, GrpcService } from "./grpc-server.ts";

export interface PlainGrpcOptions {
  readonly listen: Address;
  readonly services: readonly GrpcService[];
  readonly limits: Partial<ServerOptions>;
}

/** A gRPC server without TLS. Errors: `unreachable` when the port is taken. */
export async function openPlainGrpcServer({ listen, services, limits }: PlainGrpcOptions): Promise<GrpcServer> {
  const server = new Server(limits);
  for (const { definition, handlers } of services) server.addService(definition, handlers);
  const port = await bind(server, listen);
  return {
    address: { host: listen.host, port },
    // Nothing that is under way here has to be finished.
    close: () =>
      new Promise((resolve) => {
        server.tryShutdown(() => resolve());
        server.forceShutdown();
      }),
  };
}

function bind(server: Server, { host, port }: Address): Promise<number> {
  const at = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return new Promise((resolve, reject) => {
    server.bindAsync(at, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(new CardeaError("unreachable", `cannot listen on ${at}: ${error.message}`, error));
    });
  });
}
