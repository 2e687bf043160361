import type { ErrorCode } from "../../core/errors.ts";
import type { LogFields } from "../../core/log-fields.ts";
import type { LogLevel } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import type { Collected } from "./collect.ts";
import type { DecisionsQuery, EdgesQuery, FlowFilter, FlowsQuery, ReadableNamespaces } from "./query.ts";

/** What the store's thread is started with. */
export interface ThreadData {
  readonly directory: string;
  readonly retentionMs: number;
  readonly bytesMax: number;
}

export type Question =
  | { readonly about: "edges"; readonly query: EdgesQuery }
  | { readonly about: "decisions"; readonly query: DecisionsQuery }
  | { readonly about: "flows"; readonly query: FlowsQuery }
  | { readonly about: "flow"; readonly id: string; readonly namespaces: ReadableNamespaces }
  | { readonly about: "span" };

/** To the thread. `call` comes back with the answer. */
export type ToThread =
  | { readonly at: "export"; readonly call: number; readonly request: Uint8Array; readonly sender: SpiffeId }
  | { readonly at: "ask"; readonly call: number; readonly question: Question }
  | {
      readonly at: "follow";
      readonly call: number;
      readonly filter: FlowFilter;
      readonly namespaces: ReadableNamespaces;
    }
  | { readonly at: "unfollow"; readonly call: number }
  | { readonly at: "close" };

/** From the thread. */
export type FromThread =
  | { readonly at: "ready" }
  | { readonly at: "stored"; readonly call: number; readonly collected: Collected }
  | { readonly at: "answered"; readonly call: number; readonly answer: unknown }
  | { readonly at: "failed"; readonly call: number; readonly code: ErrorCode; readonly message: string }
  | { readonly at: "followed"; readonly call: number; readonly flows: readonly FlowRecord[] }
  | { readonly at: "log"; readonly level: LogLevel; readonly event: string; readonly fields: LogFields }
  | { readonly at: "closed" };
