import { CardeaError } from "../../core/errors.ts";
import { type Fault, formatFault, type Located, locatePlain } from "../../core/located.ts";
import type { WireUnread } from "./wire-policy.ts";

type Parse<Kind, Document> = (
  kind: Kind,
  located: Located,
  source: { readonly file: string },
  faults: Fault[],
) => Document | null;

/** Reads what `readWirePolicy` has left unread. Errors: `bad-input`, naming the document's own file and line. */
export function readUnread<Kind extends string, Document extends { readonly id: string }>(
  { kind, name, document: plain, source }: WireUnread<Kind>,
  parse: Parse<Kind, Document>,
): Document {
  const faults: Fault[] = [];
  const document = parse(kind, locatePlain(plain), { file: source.file }, faults);
  if (document === null)
    throw new CardeaError("bad-input", faults.map((fault) => formatFault({ ...fault, ...source })).join("; "));
  if (`${kind}/${document.id}` === name) return { ...document, source };
  throw new CardeaError("bad-input", `the document is ${document.id}, the resource is named otherwise: ${name}`);
}
