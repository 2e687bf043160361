import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";
import * as fc from "fast-check";

// Messages of any type of the .proto files, made from the library's own reading of them: nothing of ours says what a
// message may hold.

const OPTIONS = { longs: Number, enums: String, defaults: true, oneofs: true, includeDirs: ["src/api/proto"] };

const FILES = [
  "envoy/service/discovery/v3/discovery.proto",
  "istio/citadel.proto",
  "istio/workload.proto",
  "cardea/mesh/v1/policy.proto",
  "spiffe/workload.proto",
  "spire/api/server/svid/v1/svid.proto",
  "spire/api/server/bundle/v1/bundle.proto",
  "envoy/service/secret/v3/sds.proto",
  "envoy/extensions/transport_sockets/tls/v3/secret.proto",
  "opentelemetry/proto/collector/logs/v1/logs_service.proto",
  "observer/observer.proto",
  "opentelemetry/proto/collector/trace/v1/trace_service.proto",
];

interface FieldDescriptor {
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly typeName: string;
}

interface Descriptor {
  readonly field: readonly FieldDescriptor[];
  readonly nestedType: readonly (Descriptor & {
    readonly name: string;
    readonly options: { mapEntry?: boolean } | null;
  })[];
  readonly oneofDecl?: readonly { readonly name: string }[];
}

const definitions = loadSync(FILES, OPTIONS) as Readonly<Record<string, { readonly type: unknown }>>;

/** The library's codec of a message. */
export function libraryType(name: string): MessageTypeDefinition<object, object> {
  return definitions[name] as unknown as MessageTypeDefinition<object, object>;
}

/** Paths of a service's methods, sorted. */
export function pathsOf(service: string): readonly string[] {
  const methods = Object.values(definitions[service] as unknown as Record<string, { readonly path: string }>);
  return methods.map(({ path }) => path).toSorted();
}

/** Names of the fields of a message, as they are in JavaScript. */
export function fieldNames(name: string): readonly string[] {
  return descriptorOf(name).field.map((field) => field.name);
}

/** Messages with any part of their fields; of the oneofs at most one each. `without` are fields to leave out. */
export function anyMessage(name: string, without: readonly string[] = []): fc.Arbitrary<object> {
  const descriptor = descriptorOf(name);
  const fields = descriptor.field.filter((field) => !without.includes(field.name));
  const values = Object.fromEntries(fields.map((field) => [field.name, anyField(field, descriptor, name)]));
  if ((descriptor.oneofDecl ?? []).length === 0) return fc.record(values, { requiredKeys: [] });
  return fc.oneof(...Object.entries(values).map(([key, value]) => fc.record({ [key]: value })), fc.constant({}));
}

function anyField(field: FieldDescriptor, within: Descriptor, scope: string): fc.Arbitrary<unknown> {
  const entry = within.nestedType.find((type) => type.options?.mapEntry === true && type.name === field.typeName);
  if (field.label === "LABEL_REPEATED" && entry !== undefined) {
    // The library keeps a map as an object, and would set the prototype.
    const key = fc.string({ unit: "binary", maxLength: 12 }).filter((text) => text !== "__proto__");
    return fc.dictionary(key, anyValue(entry.field[1]!, scope), { maxKeys: 4 });
  }
  const value = anyValue(field, scope);
  return field.label === "LABEL_REPEATED" ? fc.array(value, { maxLength: 4 }) : value;
}

function anyValue({ type, typeName }: FieldDescriptor, scope: string): fc.Arbitrary<unknown> {
  switch (type) {
    case "TYPE_STRING":
      return fc.string({ unit: "binary", maxLength: 40 });
    case "TYPE_BYTES":
      return fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
    case "TYPE_BOOL":
      return fc.boolean();
    case "TYPE_UINT32":
      return fc.integer({ min: 0, max: 2 ** 32 - 1 });
    case "TYPE_INT32":
      return fc.integer();
    case "TYPE_UINT64":
      return fc.maxSafeNat();
    case "TYPE_INT64":
      return fc.maxSafeInteger();
    case "TYPE_DOUBLE":
      return fc.double({ noNaN: true });
    case "TYPE_ENUM":
      return fc.constantFrom(...enumValues(resolve(typeName, scope)));
    case "TYPE_MESSAGE":
      return anyMessage(resolve(typeName, scope));
    default:
      throw new Error(`no arbitrary for ${type} yet`);
  }
}

/** Protobuf looks a name up from the inside to the outside. */
function resolve(typeName: string, scope: string): string {
  for (let at = scope; ; at = packageOf(at)) {
    const full = at === "" ? typeName : `${at}.${typeName}`;
    if (definitions[full] !== undefined) return full;
    if (at === "") throw new Error(`there is no type ${typeName}`);
  }
}

function enumValues(name: string): readonly string[] {
  return (definitions[name]!.type as { value: readonly { name: string }[] }).value.map((value) => value.name);
}

function descriptorOf(name: string): Descriptor {
  const definition = definitions[name];
  if (definition === undefined) throw new Error(`the .proto files have no message ${name}`);
  return definition.type as Descriptor;
}

function packageOf(name: string): string {
  return name.split(".").slice(0, -1).join(".");
}
