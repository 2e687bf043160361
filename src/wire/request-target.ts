import { isAuthority } from "./authority.ts";

export type TargetForm = "origin" | "absolute" | "authority" | "asterisk";

/** What a request-target says; its octets have been checked already (octets.ts, TARGET). */
export interface RequestTarget {
  readonly form: TargetForm;
  /** The authority that absolute-form and authority-form carry; it overrides Host. RFC 9112 section 3.2.2. */
  readonly authority: string | null;
  /** Raw path and query; `*` in asterisk-form, empty in authority-form. */
  readonly path: string;
}

/** The target in the one form that its method allows, or null. RFC 9112 section 3.2. */
export function readRequestTarget(method: string, target: string): RequestTarget | null {
  if (method === "CONNECT") return readAuthorityForm(target);
  const first = target.charCodeAt(0);
  if (first === SLASH) return { form: "origin", authority: null, path: target };
  if (target === "*") return method === "OPTIONS" ? { form: "asterisk", authority: null, path: "*" } : null;
  return readAbsoluteForm(method, target);
}

const SLASH = 0x2f;
const SCHEME = "http://";

/** `host:port`, the port included. RFC 9112 section 3.2.3. */
function readAuthorityForm(target: string): RequestTarget | null {
  if (!isAuthority(target) || !/:[0-9]+$/.test(target)) return null;
  return { form: "authority", authority: target, path: "" };
}

/** `http://authority[/path][?query]`: no other scheme, and no user information, which `isAuthority` refuses. */
function readAbsoluteForm(method: string, target: string): RequestTarget | null {
  if (target.slice(0, SCHEME.length).toLowerCase() !== SCHEME) return null;
  const pathStart = authorityEndOf(target);
  const authority = target.slice(SCHEME.length, pathStart);
  if (!isAuthority(authority)) return null;
  return { form: "absolute", authority, path: pathOf(method, target.slice(pathStart)) };
}

function authorityEndOf(target: string): number {
  for (let i = SCHEME.length; i < target.length; i++) {
    const code = target.charCodeAt(i);
    if (code === SLASH || code === 0x3f) return i;
  }
  return target.length;
}

/** An empty path is `/`, for OPTIONS `*`. RFC 9112 sections 3.2.1 and 3.2.4. */
function pathOf(method: string, rest: string): string {
  if (rest === "") return method === "OPTIONS" ? "*" : "/";
  return rest.charCodeAt(0) === SLASH ? rest : `/${rest}`;
}
