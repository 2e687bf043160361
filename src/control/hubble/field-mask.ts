import type { HubbleFlow } from "../../api/hubble-messages.ts";
import { CardeaError } from "../../core/errors.ts";

/** Null: all of it. */
type Mask = Map<string, Mask | null>;

/**
 * What a field mask leaves of a flow. A field that we never fill is one that stays absent. Errors: `bad-input` for what
 * is no path of fields.
 */
export function compileMask(paths: readonly string[]): (flow: HubbleFlow) => HubbleFlow {
  if (paths.length === 0) return (flow) => flow;
  const mask: Mask = new Map();
  for (const path of paths) {
    if (!/^[A-Za-z]\w*(?:\.[A-Za-z]\w*){0,8}$/.test(path) || path.length > PATH_LENGTH_MAX)
      throw new CardeaError("bad-input", `field_mask: ${JSON.stringify(path)} is no path of fields`);
    put(mask, path.split(".").map(camelCase));
  }
  return (flow) => masked(flow, mask);
}

const PATH_LENGTH_MAX = 256;

function put(mask: Mask, [name = "", ...rest]: readonly string[]): void {
  const before = mask.get(name);
  // The whole of a field stands above any part of it.
  if (before === null) return;
  if (rest.length === 0) {
    mask.set(name, null);
    return;
  }
  const inner: Mask = before ?? new Map();
  mask.set(name, inner);
  put(inner, rest);
}

function masked(value: Readonly<Record<string, unknown>>, mask: Mask): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, inner] of mask) {
    const part = Object.hasOwn(value, name) ? value[name] : undefined;
    if (part === undefined || part === null) continue;
    const isMessage = typeof part === "object" && !Array.isArray(part) && !Buffer.isBuffer(part);
    kept[name] = inner !== null && isMessage ? masked(part as Record<string, unknown>, inner) : part;
  }
  return kept;
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
