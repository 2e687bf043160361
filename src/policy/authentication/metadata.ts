import { objectMetadata } from "../../core/object-metadata.ts";
import { addFault, mapOf, type Schema, string } from "../../core/schema.ts";

/** What annotations of a document on authentication say to us. */
interface AuthenticationAnnotations {
  readonly isExpirationRequired: boolean;
}

/** Istio knows of no such setting: its sidecars take tokens that never expire. */
const REQUIRE_EXPIRATION = "cardea.dev/require-expiration";

const ANNOTATIONS: Schema<AuthenticationAnnotations> = (value, scope) => {
  const texts = mapOf(string({ allowEmpty: true }))(value, scope);
  const text = texts?.get(REQUIRE_EXPIRATION) ?? "true";
  if (text === "true" || text === "false") return { isExpirationRequired: text === "true" };
  const field = `${scope.field}[${JSON.stringify(REQUIRE_EXPIRATION)}]`;
  return addFault({ ...scope, field }, value.at, 'expected "true" or "false"');
};

export const AUTHENTICATION_METADATA = objectMetadata(ANNOTATIONS);
