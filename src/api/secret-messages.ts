import { field, message, repeated } from "../wire/protobuf-fields.ts";
import { messageOf } from "../wire/protobuf-message.ts";
import { BYTES, STRING } from "../wire/protobuf-values.ts";
import { ANY, NODE, STATUS } from "./messages.ts";

// Envoy's Secret Discovery Service (proto/envoy), as tables; its delta half is in messages.ts.

export const DISCOVERY_REQUEST = messageOf({
  versionInfo: field(1, STRING),
  node: message(2, NODE),
  resourceNames: repeated(3, STRING),
  typeUrl: field(4, STRING),
  responseNonce: field(5, STRING),
  errorDetail: message(6, STATUS),
});

export const DISCOVERY_RESPONSE = messageOf({
  versionInfo: field(1, STRING),
  resources: repeated(2, ANY),
  typeUrl: field(4, STRING),
  nonce: field(5, STRING),
});

const DATA_SOURCE = messageOf({ inlineBytes: field(2, BYTES) });

const TLS_CERTIFICATE = messageOf({ certificateChain: message(1, DATA_SOURCE), privateKey: message(2, DATA_SOURCE) });

const EXTENSION = messageOf({ name: field(1, STRING), typedConfig: message(2, ANY) });

const VALIDATION_CONTEXT = messageOf({
  trustedCa: message(1, DATA_SOURCE),
  customValidatorConfig: message(12, EXTENSION),
});

export const SECRET = messageOf(
  {
    name: field(1, STRING),
    tlsCertificate: message(2, TLS_CERTIFICATE),
    validationContext: message(4, VALIDATION_CONTEXT),
  },
  ["tlsCertificate", "validationContext"],
);

const VALIDATOR_TRUST_DOMAIN = messageOf({ name: field(1, STRING), trustBundle: message(2, DATA_SOURCE) });

export const SPIFFE_VALIDATOR_CONFIG = messageOf({ trustDomains: repeated(1, VALIDATOR_TRUST_DOMAIN) });
