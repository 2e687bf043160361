import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadMeshApi } from "../../../src/api/load.ts";
import * as hubble from "../../../src/api/hubble-messages.ts";
import * as messages from "../../../src/api/messages.ts";
import * as methods from "../../../src/api/methods.ts";
import * as otlp from "../../../src/api/otlp-messages.ts";
import * as secrets from "../../../src/api/secret-messages.ts";
import * as workload from "../../../src/api/workload-messages.ts";
import { CardeaError } from "../../../src/core/errors.ts";
import type { MessageType } from "../../../src/wire/protobuf-message.ts";
import type { JsonValue } from "../../../src/core/json-value.ts";
import { anyMessage, fieldNames, libraryType, pathsOf } from "../../support/proto-arbitraries.ts";

// The tables against the .proto files, as an independent library reads those: whatever it writes we read the same, and
// the other way round. Parts (Workload, Resource, MeshSettings …) are tried as parts of these.

interface Case {
  readonly name: string;
  readonly type: MessageType<object, object>;
  /** Fields of the .proto that the table lacks on purpose. */
  readonly without: readonly string[];
}

const CASES: readonly Case[] = [
  caseOf("envoy.service.discovery.v3.DeltaDiscoveryRequest", messages.DELTA_DISCOVERY_REQUEST),
  caseOf("envoy.service.discovery.v3.DeltaDiscoveryResponse", messages.DELTA_DISCOVERY_RESPONSE),
  caseOf("istio.workload.Address", messages.ADDRESS),
  caseOf("cardea.mesh.v1.Policy", messages.POLICY),
  caseOf("cardea.mesh.v1.PolicySet", messages.POLICY_SET),
  caseOf("cardea.mesh.v1.PlaintextPorts", messages.PLAINTEXT_PORTS),
  caseOf("istio.v1.auth.IstioCertificateRequest", messages.ISTIO_CERTIFICATE_REQUEST, ["metadata"]),
  caseOf("istio.v1.auth.IstioCertificateResponse", messages.ISTIO_CERTIFICATE_RESPONSE),
  caseOf("opentelemetry.proto.collector.logs.v1.ExportLogsServiceResponse", otlp.EXPORT_LOGS_RESPONSE),
  caseOf("opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse", otlp.EXPORT_TRACES_RESPONSE),
  caseOf("envoy.service.discovery.v3.DiscoveryRequest", secrets.DISCOVERY_REQUEST),
  caseOf("envoy.service.discovery.v3.DiscoveryResponse", secrets.DISCOVERY_RESPONSE),
  caseOf("envoy.extensions.transport_sockets.tls.v3.Secret", secrets.SECRET),
  caseOf("envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig", secrets.SPIFFE_VALIDATOR_CONFIG),
  caseOf("X509SVIDResponse", workload.X509_SVID_RESPONSE),
  caseOf("X509BundlesResponse", workload.X509_BUNDLES_RESPONSE),
  caseOf("JWTSVIDRequest", workload.JWT_SVID_REQUEST),
  caseOf("JWTSVIDResponse", workload.JWT_SVID_RESPONSE),
  caseOf("JWTBundlesResponse", workload.JWT_BUNDLES_RESPONSE),
  caseOf("ValidateJWTSVIDRequest", workload.VALIDATE_JWT_SVID_REQUEST),
  caseOf("spire.api.server.svid.v1.NewJWTSVIDRequest", workload.NEW_JWT_SVID_REQUEST),
  caseOf("spire.api.server.svid.v1.NewJWTSVIDResponse", workload.NEW_JWT_SVID_RESPONSE),
  caseOf("spire.api.types.Bundle", workload.BUNDLE),
  caseOf("observer.GetFlowsRequest", hubble.GET_FLOWS_REQUEST),
  caseOf("observer.GetFlowsResponse", hubble.GET_FLOWS_RESPONSE),
  caseOf("observer.ServerStatusResponse", hubble.SERVER_STATUS_RESPONSE),
  caseOf("observer.GetNodesResponse", hubble.GET_NODES_RESPONSE),
  caseOf("observer.GetNamespacesResponse", hubble.GET_NAMESPACES_RESPONSE),
];

describe.each(CASES)("$name", ({ name, type, without }) => {
  const library = libraryType(name);
  const any = anyMessage(name, without);

  test("has the fields of its definition", () => {
    const told = fieldNames(name).filter((field) => !without.includes(field));
    expect(Object.keys(type.deserialize(Buffer.alloc(0))).toSorted()).toEqual(told.toSorted());
  });

  test("is read as the library wrote it", () => {
    fc.assert(
      fc.property(any, (message) => {
        const bytes = library.serialize(message);
        expect(plain(type.deserialize(bytes))).toEqual(plain(library.deserialize(bytes)));
      }),
      { seed: 11, numRuns: 400 },
    );
  });

  test("is written so that the library reads the same", () => {
    fc.assert(
      fc.property(any, (message) => {
        const read = type.deserialize(library.serialize(message));
        expect(plain(library.deserialize(type.serialize(read)))).toEqual(plain(read));
      }),
      { seed: 12, numRuns: 400 },
    );
  });

  test("cut short at any place is refused, or ends between two fields", () => {
    fc.assert(
      fc.property(any, fc.nat(), (message, at) => {
        const bytes = library.serialize(message);
        const cut = bytes.subarray(0, bytes.length === 0 ? 0 : at % bytes.length);
        const read = readOrRefuse(type, cut);
        // A field that is not whole is not there at all: written again it takes no more than what came.
        if (read !== null) expect(type.serialize(read).length).toBeLessThanOrEqual(cut.length);
      }),
      { seed: 13, numRuns: 400 },
    );
  });

  test("damaged is refused, or a message that is read the same once written again", () => {
    let refused = 0;
    const damage = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(any, fc.array(damage, { minLength: 1, maxLength: 4 }), (message, edits) => {
        const bytes = Buffer.from(library.serialize(message));
        for (const [at, octet] of bytes.length === 0 ? [] : edits) bytes[at % bytes.length] = octet;
        const read = readOrRefuse(type, bytes);
        if (read === null) refused += 1;
        else expect(type.deserialize(type.serialize(read))).toEqual(read);
      }),
      { seed: 14, numRuns: 1_000 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  test("of any bytes at all is refused, or a message", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readOrRefuse(type, Buffer.from(bytes))),
      { seed: 15, numRuns: 1_000 },
    );
  });
});

test("the methods have the paths that the .proto files give them", () => {
  const { discovery, certificates } = loadMeshApi();
  expect(discovery.DeltaAggregatedResources.path).toBe(methods.DELTA_AGGREGATED_RESOURCES);
  expect(certificates.CreateCertificate.path).toBe(methods.CREATE_CERTIFICATE);
  expect(pathsOf("SpiffeWorkloadAPI")).toEqual(Object.values(methods.WORKLOAD_API).toSorted());
  expect(pathsOf("envoy.service.secret.v3.SecretDiscoveryService")).toEqual(
    Object.values(methods.SECRET_DISCOVERY).toSorted(),
  );
  expect(pathsOf("spire.api.server.svid.v1.SVID")).toEqual([methods.NEW_JWT_SVID]);
  expect(pathsOf("spire.api.server.bundle.v1.Bundle")).toEqual([methods.GET_BUNDLE]);
  const { getAgentEvents, getDebugEvents, ...observer } = hubble.OBSERVER_API;
  expect(pathsOf("observer.Observer")).toEqual(Object.values(observer).toSorted());
  expect([getAgentEvents, getDebugEvents]).toEqual([
    "/observer.Observer/GetAgentEvents",
    "/observer.Observer/GetDebugEvents",
  ]);
});

describe("google.protobuf.Struct", () => {
  const response = libraryType("ValidateJWTSVIDResponse");
  const claims = fc.dictionary(
    fc.string({ maxLength: 8 }).filter((key) => key !== "__proto__"),
    fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<JsonValue>,
    { maxKeys: 5 },
  );

  test("is written so that the library reads the same, and is read back", () => {
    fc.assert(
      fc.property(claims, (object) => {
        const bytes = workload.VALIDATE_JWT_SVID_RESPONSE.serialize({ spiffeId: "s", claims: object });
        expect(ofStruct((response.deserialize(bytes) as { claims: Struct }).claims)).toEqual(withoutMinusZero(object));
        expect(withoutMinusZero(workload.VALIDATE_JWT_SVID_RESPONSE.deserialize(bytes).claims)).toEqual(
          withoutMinusZero(object),
        );
      }),
      { seed: 21, numRuns: 300 },
    );
  });

  test("cut short or damaged is refused, or an object", () => {
    let refused = 0;
    fc.assert(
      fc.property(claims, fc.nat(), fc.integer({ min: 0, max: 255 }), (object, at, octet) => {
        const bytes = workload.VALIDATE_JWT_SVID_RESPONSE.serialize({ claims: object });
        bytes[at % bytes.length] = octet;
        if (readOrRefuse(workload.VALIDATE_JWT_SVID_RESPONSE, bytes) === null) refused += 1;
        readOrRefuse(workload.VALIDATE_JWT_SVID_RESPONSE, bytes.subarray(0, at % bytes.length));
      }),
      { seed: 22, numRuns: 1_000 },
    );
    expect(refused).toBeGreaterThan(50);
  });

  test("nested too deeply is refused", () => {
    let deep: JsonValue = 1;
    for (let depth = 0; depth < 100; depth += 1) deep = [deep];
    const bytes = workload.VALIDATE_JWT_SVID_RESPONSE.serialize({ claims: { deep } });
    expect(() => workload.VALIDATE_JWT_SVID_RESPONSE.deserialize(bytes)).toThrow(/nested too deeply/);
  });
});

interface Struct {
  readonly fields: Readonly<Record<string, StructValue>>;
}

interface StructValue extends Readonly<Record<string, unknown>> {
  readonly kind: string;
}

/** The library's reading of a Struct as JSON. */
function ofStruct({ fields }: Struct): JsonValue {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, ofValue(value)]));
}

function ofValue(value: StructValue): JsonValue {
  switch (value.kind) {
    case "nullValue":
      return null;
    case "structValue":
      return ofStruct(value["structValue"] as Struct);
    case "listValue":
      return (value["listValue"] as { values: readonly StructValue[] }).values.map(ofValue);
    default:
      return value[value.kind] as JsonValue;
  }
}

/** JSON knows no minus zero. */
function withoutMinusZero(value: JsonValue): unknown {
  return JSON.parse(JSON.stringify(value));
}

function caseOf<Output extends object, Input extends object>(
  name: string,
  type: MessageType<Output, Input>,
  without: readonly string[] = [],
): Case {
  return { name, type, without };
}

function readOrRefuse(type: MessageType<object, object>, bytes: Buffer): object | null {
  try {
    return type.deserialize(bytes);
  } catch (thrown) {
    if (thrown instanceof CardeaError && thrown.code === "bad-input") return null;
    throw thrown;
  }
}

/** Maps as objects, as the library has them; without the names that it gives to oneofs, and to what they leave out. */
function plain(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  const entries = value instanceof Map ? [...(value as Map<string, unknown>)] : Object.entries(value);
  const told = entries.filter(([name, part]) => part !== null && name !== oneofIn(value));
  return Object.fromEntries(told.map(([name, part]) => [name, plain(part)]));
}

/** The name that the library gives to the choice that a message holds, or null. */
function oneofIn(value: object): string | null {
  if ("workload" in value || "service" in value) return "type";
  if ("tlsCertificate" in value || "validationContext" in value) return "type";
  if ("lostEvents" in value || "nodeStatus" in value || "flow" in value) return "responseTypes";
  if ("latencyNs" in value || "http" in value) return "record";
  if ("TCP" in value) return "protocol";
  return "hboneMtlsPort" in value ? "destination" : null;
}
