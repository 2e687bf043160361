import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadMeshApi } from "../../../src/api/load.ts";
import * as messages from "../../../src/api/messages.ts";
import { CREATE_CERTIFICATE, DELTA_AGGREGATED_RESOURCES } from "../../../src/api/methods.ts";
import { CardeaError } from "../../../src/core/errors.ts";
import type { MessageType } from "../../../src/wire/protobuf-message.ts";
import { anyMessage, fieldNames, libraryType } from "../../support/proto-arbitraries.ts";

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
  caseOf("istio.v1.auth.IstioCertificateRequest", messages.ISTIO_CERTIFICATE_REQUEST, ["metadata"]),
  caseOf("istio.v1.auth.IstioCertificateResponse", messages.ISTIO_CERTIFICATE_RESPONSE),
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
  expect(discovery.DeltaAggregatedResources.path).toBe(DELTA_AGGREGATED_RESOURCES);
  expect(certificates.CreateCertificate.path).toBe(CREATE_CERTIFICATE);
});

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
  const oneof = "workload" in value || "service" in value ? "type" : "hboneMtlsPort" in value ? "destination" : null;
  const told = entries.filter(([name, part]) => part !== null && name !== oneof);
  return Object.fromEntries(told.map(([name, part]) => [name, plain(part)]));
}
