import { CardeaError } from "../../core/errors.ts";
import { formatFault, type Fault, locatePlain } from "../../core/located.ts";
import { type AuthenticationDocument, parseAuthenticationDocument } from "../../policy/authentication/document.ts";
import type { WireAuthentication } from "./wire-policy.ts";

/**
 * Reads what `readWirePolicy` has left unread of this family. Its own file, and loaded with the first such document:
 * most sidecars never see one. Errors: `bad-input`, naming the document's own file and line.
 */
export function readWireAuthentication(held: WireAuthentication): AuthenticationDocument {
  const { kind, name, source } = held;
  const faults: Fault[] = [];
  const document = parseAuthenticationDocument(kind, locatePlain(held.document), { file: source.file }, faults);
  if (document === null)
    throw new CardeaError("bad-input", faults.map((fault) => formatFault({ ...fault, ...source })).join("; "));
  if (`${kind}/${document.id}` === name) return { ...document, source };
  throw new CardeaError("bad-input", `the document is ${document.id}, the resource is named otherwise: ${name}`);
}
