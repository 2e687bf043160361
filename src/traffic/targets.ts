import { parsed, string } from "../core/schema.ts";

/** A path that a rule writes: what a request line may carry, without query and fragment. */
export const PATH = parsed(string(), (path) => {
  if (/^\/[\x21-\x7e]*$/.test(path) && !/[?#\\]/.test(path) && path.length <= 4_096 && !hasDotSegment(path))
    return path;
  throw new Error(
    `expected a path that begins with / and has neither query, fragment, dot segments nor spaces, found ${JSON.stringify(path)}`,
  );
});

/** A host, perhaps with a port, that a rule writes. */
export const AUTHORITY = parsed(string(), (authority) => {
  const host = authority.toLowerCase();
  if (/^[a-z0-9_]([-a-z0-9_.]{0,251}[a-z0-9_])?(:\d{1,5})?$/.test(host) && !host.includes("..")) return host;
  throw new Error(`expected a host, perhaps with a port, found ${JSON.stringify(authority)}`);
});

/** In a rewritten path they would step out of what the authorization on the far side looks at. */
function hasDotSegment(path: string): boolean {
  return path.split("/").some((segment) => /^(\.|%2e){1,2}$/i.test(segment));
}
