import { createRequire } from "node:module";

/** The part of koffi that is used here. It is optional, so that its own types may not be there. */
export interface Koffi {
  load(library: null): { func(declaration: string): (...args: readonly unknown[]) => number };
}

/**
 * Looks for the package from where this file stands, which the sidecar in one file keeps in mind (rolldown.config.js): that
 * one may lie in a state directory, which has no packages. Errors: what the loader throws where koffi is not installed.
 */
export function loadKoffi(): Koffi {
  return createRequire(import.meta.url)("koffi") as Koffi;
}
