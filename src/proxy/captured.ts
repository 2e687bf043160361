import { CardeaError } from "../core/errors.ts";
import type { Address, Connection, OriginalDestination } from "../core/ports.ts";

/**
 * Where a redirected connection was meant to go. One that was dialled directly has no other destination than the listener
 * itself, or none that the kernel knows of: an app, or somebody outside, wants to use the sidecar around its rules.
 * Errors: `loop-refused`.
 */
export function capturedDestination(connection: Connection, original: OriginalDestination): Address {
  const destination = original.of(connection);
  // The kernel has put the listener's port, and mostly its own address, into the place of what was dialled.
  if (destination !== null && destination.port !== connection.local.port) return destination;
  throw new CardeaError("loop-refused", "this port takes redirected connections alone, and it was dialled directly");
}
