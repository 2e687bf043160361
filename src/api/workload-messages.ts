import { field, mapOf, message, repeated } from "../wire/protobuf-fields.ts";
import { messageOf } from "../wire/protobuf-message.ts";
import { STRUCT } from "../wire/protobuf-struct.ts";
import { BYTES, INT64, STRING, UINT64 } from "../wire/protobuf-values.ts";

// The SPIFFE Workload API (proto/spiffe), and what the sidecar asks of the control plane for it (proto/spire), as tables.
// They are loaded with the identity socket alone; test/unit/api/messages.test.ts holds them against the definitions.

const X509_SVID = messageOf({
  spiffeId: field(1, STRING),
  x509Svid: field(2, BYTES),
  x509SvidKey: field(3, BYTES),
  bundle: field(4, BYTES),
  hint: field(5, STRING),
});

/** Any of the requests that have no fields. */
export const EMPTY_REQUEST = messageOf({});

export const X509_SVID_RESPONSE = messageOf({
  svids: repeated(1, X509_SVID),
  crl: repeated(2, BYTES),
  federatedBundles: mapOf(3, BYTES),
});

export const X509_BUNDLES_RESPONSE = messageOf({ crl: repeated(1, BYTES), bundles: mapOf(2, BYTES) });

export const JWT_SVID_REQUEST = messageOf({ audience: repeated(1, STRING), spiffeId: field(2, STRING) });

const JWT_SVID = messageOf({ spiffeId: field(1, STRING), svid: field(2, STRING), hint: field(3, STRING) });

export const JWT_SVID_RESPONSE = messageOf({ svids: repeated(1, JWT_SVID) });

export const JWT_BUNDLES_RESPONSE = messageOf({ bundles: mapOf(1, BYTES) });

export const VALIDATE_JWT_SVID_REQUEST = messageOf({ audience: field(1, STRING), svid: field(2, STRING) });

export const VALIDATE_JWT_SVID_RESPONSE = messageOf({ spiffeId: field(1, STRING), claims: field(2, STRUCT) });

export const NEW_JWT_SVID_REQUEST = messageOf({ entryId: field(1, STRING), audience: repeated(2, STRING) });

const SPIFFE_ID_PARTS = messageOf({ trustDomain: field(1, STRING), path: field(2, STRING) });

const ISSUED_JWT_SVID = messageOf({
  token: field(1, STRING),
  id: message(2, SPIFFE_ID_PARTS),
  expiresAt: field(3, INT64),
  issuedAt: field(4, INT64),
  hint: field(5, STRING),
});

export const NEW_JWT_SVID_RESPONSE = messageOf({ svid: message(1, ISSUED_JWT_SVID) });

const X509_AUTHORITY = messageOf({ asn1: field(1, BYTES) });

const JWT_AUTHORITY = messageOf({ publicKey: field(1, BYTES), keyId: field(2, STRING), expiresAt: field(3, INT64) });

export const BUNDLE = messageOf({
  trustDomain: field(1, STRING),
  x509Authorities: repeated(2, X509_AUTHORITY),
  jwtAuthorities: repeated(3, JWT_AUTHORITY),
  refreshHint: field(4, INT64),
  sequenceNumber: field(5, UINT64),
});
