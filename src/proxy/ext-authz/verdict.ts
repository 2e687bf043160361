import type { HeaderEdit } from "./header-edits.ts";

/** What an external authorization server says of a request. */
export type ExtAuthzVerdict =
  | {
      readonly at: "allowed";
      /** Of the request, before it is decided on and forwarded. */
      readonly request: readonly HeaderEdit[];
      /** Of its answer. */
      readonly answer: readonly HeaderEdit[];
    }
  | {
      readonly at: "denied";
      readonly status: number;
      /** Flat; they can be sent. */
      readonly headers: readonly string[];
      readonly body: Buffer;
    };

/** A status that ends an exchange: 1xx and 101 among them cannot be passed on. */
export function isFinalStatus(status: number): boolean {
  return status >= 200 && status <= 599;
}
