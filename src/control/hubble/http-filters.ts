import type { HubbleFlow } from "../../api/hubble-messages.ts";
import { searchPattern } from "./text-patterns.ts";

type TakesFlow = (flow: HubbleFlow) => boolean;

/** `404`, `40+` or `4+`. Throws an Error. */
export function httpStatusCodes(wanted: readonly string[]): TakesFlow {
  const bad = wanted.find((text) => !/^[1-5](?:\d\d|\d?\+)$/.test(text));
  if (bad !== undefined) throw new Error(`${JSON.stringify(bad)} is neither a status nor the beginning of one (4+)`);
  return ({ l7 }) => {
    const code = String(l7?.http?.code ?? 0);
    return (
      code !== "0" && wanted.some((text) => (text.endsWith("+") ? code.startsWith(text.slice(0, -1)) : code === text))
    );
  };
}

export function httpMethods(wanted: readonly string[]): TakesFlow {
  const names = new Set(wanted.map((name) => name.toLowerCase()));
  return ({ l7 }) => {
    const method = l7?.http?.method ?? "";
    return method !== "" && names.has(method.toLowerCase());
  };
}

/** Regular expressions over the path with its escapes undone. Throws an Error. */
export function httpPaths(patterns: readonly string[]): TakesFlow {
  const taking = patterns.map(searchPattern);
  return ({ l7 }) => {
    const path = pathOf(l7?.http?.url ?? "");
    return path !== null && taking.some((takes) => takes(path));
  };
}

/** Regular expressions over the whole URL. Throws an Error. */
export function httpUrls(patterns: readonly string[]): TakesFlow {
  const taking = patterns.map(searchPattern);
  return ({ l7 }) => {
    const url = l7?.http?.url ?? "";
    return url !== "" && taking.some((takes) => takes(url));
  };
}

function pathOf(url: string): string | null {
  const start = url.indexOf("/", "http://".length);
  if (start < 0) return url === "" ? null : "";
  try {
    return decodeURIComponent(url.slice(start));
  } catch {
    // No URL that anybody could read: Hubble leaves such flows out, too.
    return null;
  }
}
