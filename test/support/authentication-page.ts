import { parseAuthenticationDocument } from "../../src/policy/authentication/document.ts";
import { AUTHENTICATION_KINDS, type AuthenticationKind } from "../../src/policy/authentication/kinds.ts";
import { page, table } from "./markdown-page.ts";
import { findSchemaFields, type SchemaField } from "./schema-fields.ts";

/** docs/reference/authentication-fields.md */
export function authenticationFieldsPage(): string {
  const intro = [
    "RequestAuthentication and PeerAuthentication of `security.istio.io/v1`, and Telemetry of `telemetry.istio.io/v1`, as this",
    "version reads them. A field that is not listed here is a fault, and so is a listed one that is not supported: a document",
    "is never taken in part. What the fields mean, Istio says; where we differ:",
    "[differences from Istio](../guides/differences-from-istio.md).",
  ];
  const sections = AUTHENTICATION_KINDS.map((kind) => `## ${kind}\n\n${table(["field", "takes", ""], rowsOf(kind))}`);
  return page("Authentication fields", "src/policy/authentication/", intro, sections);
}

function rowsOf(kind: AuthenticationKind): string[][] {
  const fields = findSchemaFields((document, source, faults) =>
    parseAuthenticationDocument(kind, document, source, faults),
  );
  return fields
    .filter(isTold)
    .map(({ path, expects, isRequired, refusal }) => [
      `\`${path}\``,
      expects ?? "",
      refusal ?? (isRequired ? "required" : ""),
    ]);
}

/** What kubectl adds by itself would only be noise here. */
function isTold({ path, expects, refusal }: SchemaField): boolean {
  return (expects !== null || refusal !== null) && !/^metadata\.(labels|annotations)/.test(path);
}
