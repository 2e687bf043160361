import { isJsonObject, type JsonObject, type JsonValue, memberOf } from "../../core/json-value.ts";
import { LIMITS } from "../../core/limits.ts";

/** What the API server asks about one object: AdmissionRequest of admission.k8s.io/v1, as far as we look at it. */
export interface AdmissionRequest {
  /** Opaque, to be given back. */
  readonly uid: string;
  readonly kind: GroupKind;
  /** Empty, or e.g. `ephemeralcontainers`. */
  readonly subResource: string;
  readonly operation: "CREATE" | "UPDATE";
  /** Empty for objects of the cluster. */
  readonly namespace: string;
  /** Empty where the server has not made one yet. */
  readonly name: string;
  readonly object: JsonObject;
  /** What it is until now; null for CREATE. */
  readonly oldObject: JsonObject | null;
  /** Nothing will be kept. We have no side effects, so the answer is the same. */
  readonly dryRun: boolean;
}

export interface GroupKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

export type ReadReview =
  | { readonly is: "request"; readonly request: AdmissionRequest }
  /** It can be answered as a review: the uid is known. */
  | { readonly is: "faulty"; readonly uid: string; readonly message: string }
  /** It cannot: the HTTP status says so. */
  | { readonly is: "unreadable"; readonly status: 400; readonly message: string };

/** Octets of a request's body → what is asked. Bounded in depth; its size was bounded where it was read. */
export function readReview(body: Buffer): ReadReview {
  const review = parseJson(body);
  if (typeof review === "string") return unreadable(review);
  const { value } = review;
  const apiVersion = memberOf(value, "apiVersion");
  if (apiVersion !== "admission.k8s.io/v1" || memberOf(value, "kind") !== "AdmissionReview")
    return unreadable(`expected an AdmissionReview of admission.k8s.io/v1, found ${describeKind(value)}`);
  const request = memberOf(value, "request");
  const uid = memberOf(request, "uid");
  if (!isJsonObject(request) || typeof uid !== "string" || !/^[\w.:-]{1,128}$/.test(uid))
    return unreadable("request.uid: expected a text of 1 to 128 letters, digits and _ . : -");
  try {
    return { is: "request", request: parseRequest(uid, request) };
  } catch (thrown) {
    if (thrown instanceof Faulty) return { is: "faulty", uid, message: thrown.message };
    throw thrown;
  }
}

class Faulty extends Error {}

function parseRequest(uid: string, request: JsonObject): AdmissionRequest {
  const operation = textIn(request, "operation");
  if (operation !== "CREATE" && operation !== "UPDATE")
    throw new Faulty(`request.operation: expected CREATE or UPDATE, found ${quote(operation)}`);
  const object = memberOf(request, "object");
  if (!isJsonObject(object)) throw new Faulty("request.object: expected an object");
  const oldObject = memberOf(request, "oldObject") ?? null;
  if (oldObject !== null && !isJsonObject(oldObject)) throw new Faulty("request.oldObject: expected an object or null");
  if (operation === "UPDATE" && oldObject === null) throw new Faulty("request.oldObject: is required for UPDATE");
  const dryRun = memberOf(request, "dryRun") ?? false;
  if (typeof dryRun !== "boolean") throw new Faulty("request.dryRun: expected true or false");
  const kind = memberOf(request, "kind");
  return {
    uid,
    kind: {
      group: textIn(kind, "group", "kind."),
      version: textIn(kind, "version", "kind."),
      kind: textIn(kind, "kind", "kind."),
    },
    subResource: textIn(request, "subResource"),
    operation,
    namespace: textIn(request, "namespace"),
    name: textIn(request, "name"),
    object,
    oldObject: operation === "CREATE" ? null : oldObject,
    dryRun,
  };
}

/** Absent and null are the empty text, as the API's own decoder has it. */
function textIn(parent: JsonValue | undefined, key: string, place = ""): string {
  const text = memberOf(parent, key) ?? "";
  if (typeof text === "string" && text.length <= TEXT_MAX) return text;
  throw new Faulty(`request.${place}${key}: expected a text of at most ${TEXT_MAX} characters`);
}

/** Names of Kubernetes have 253 at most. */
const TEXT_MAX = 1_024;

function parseJson(body: Buffer): { readonly value: JsonValue } | string {
  if (isTooDeep(body)) return `the body is nested deeper than ${LIMITS.documentDepthMax} levels`;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
    // JSON.parse gives what JSON can say and nothing else.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return { value: JSON.parse(text) as JsonValue };
  } catch {
    // The parser's own message quotes the body, which may hold somebody's secret.
    return "the body is not JSON in UTF-8";
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BRACE = 0x7b;
const BRACKET = 0x5b;
const BRACE_END = 0x7d;
const BRACKET_END = 0x5d;

/** Ten megabytes of brackets would exhaust the stack of whoever walks the value. Texts are stepped over. */
function isTooDeep(body: Buffer): boolean {
  let depth = 0;
  let isText = false;
  for (let index = 0; index < body.length; index += 1) {
    const octet = body[index]!;
    if (isText && octet === BACKSLASH) index += 1;
    else if (octet === QUOTE) isText = !isText;
    else if (isText) continue;
    else if (octet === BRACE || octet === BRACKET) depth += 1;
    else if (octet === BRACE_END || octet === BRACKET_END) depth -= 1;
    if (depth > LIMITS.documentDepthMax) return true;
  }
  return false;
}

function describeKind(value: JsonValue): string {
  const [kind, apiVersion] = [memberOf(value, "kind"), memberOf(value, "apiVersion")];
  if (typeof kind !== "string" || typeof apiVersion !== "string") return "something else";
  return `${quote(kind)} of ${quote(apiVersion)}`;
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 60));
}

function unreadable(message: string): ReadReview {
  return { is: "unreadable", status: 400, message };
}
