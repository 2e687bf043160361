import { fileURLToPath } from "node:url";
import { readText } from "../io/files.ts";

/** Our version, from package.json, which stands beside src/ and dist/ alike. */
export async function readVersion(): Promise<string> {
  const manifest = await readText(fileURLToPath(new URL("../../package.json", import.meta.url)));
  return /"version": "([^"]+)"/.exec(manifest)?.[1] ?? "unknown";
}
