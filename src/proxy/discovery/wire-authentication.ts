import { type AuthenticationDocument, parseAuthenticationDocument } from "../../policy/authentication/document.ts";
import type { AuthenticationKind } from "../../policy/authentication/kinds.ts";
import type { WireUnread } from "./wire-policy.ts";
import { readUnread } from "./wire-unread.ts";

/** Its own file, and loaded with the first such document: most sidecars never see one. Errors: as `readUnread`. */
export function readWireAuthentication(held: WireUnread<AuthenticationKind>): AuthenticationDocument {
  return readUnread(held, parseAuthenticationDocument);
}
