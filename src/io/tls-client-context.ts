import { createSecureContext } from "node:tls";
import { toCardeaError } from "../core/errors.ts";
import type { ClientTlsMaterial } from "../core/grpc-tls.ts";
import type { TlsContext } from "../core/ports.ts";

/** See `CreateClientTlsContext`. */
export function createClientTlsContext(material: ClientTlsMaterial): TlsContext {
  try {
    const { own } = material;
    const ours = own === null ? {} : { cert: own.chainPem, key: own.keyPem };
    return { tlsContext: createSecureContext({ ca: material.rootsPem, minVersion: "TLSv1.3", ...ours }) };
  } catch (error) {
    throw toCardeaError(error);
  }
}
