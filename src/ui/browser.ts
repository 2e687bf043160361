// What the page has of the browser's time, network and memory: here alone, so that the rest can be tried without.

export function nowMs(): number {
  return Date.now();
}

/** Calls once, later; the result calls it off. */
export function later(ms: number, call: () => void): () => void {
  const timer = setTimeout(call, ms);
  return () => clearTimeout(timer);
}

/** From the control plane that the page came from; `path` begins with a slash. */
export function request(
  path: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Response> {
  return fetch(path, { headers, signal, credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" });
}

/** What this browser was told before; for a token, until the tab is closed. */
export function recall(name: "theme" | "token"): string | null {
  try {
    return storeOf(name).getItem(`cardea-${name}`);
  } catch {
    return null;
  }
}

export function remember(name: "theme" | "token", value: string | null): void {
  try {
    if (value === null) storeOf(name).removeItem(`cardea-${name}`);
    else storeOf(name).setItem(`cardea-${name}`, value);
  } catch {
    // Private windows may keep nothing: then it lasts as long as the page.
  }
}

function storeOf(name: "theme" | "token"): Storage {
  return name === "token" ? sessionStorage : localStorage;
}
