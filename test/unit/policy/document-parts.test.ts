import { expect, test } from "vitest";
import { locatePlain } from "../../../src/core/located.ts";
import type { Schema } from "../../../src/core/schema.ts";
import {
  GRANT_ANNOTATIONS,
  METADATA,
  NO_TARGETS,
  SECURITY_API_VERSIONS,
  SELECTOR,
} from "../../../src/policy/document-parts.ts";

// What annotations and selectors may say, from both sides of each bound.

interface Read<T> {
  readonly value: T | undefined;
  /** Field, then message, of each. */
  readonly faults: readonly string[];
}

function read<T>(schema: Schema<T>, document: unknown, field: string): Read<T> {
  const faults: Parameters<Schema<T>>[1]["faults"] = [];
  const value = schema(locatePlain(document), { file: "p.yaml", field, faults });
  return { value, faults: faults.map((fault) => `${fault.field} ${fault.message}`) };
}

const annotated = (annotations: unknown) => read(METADATA, { name: "p", annotations }, "metadata");
const fieldOf = (key: string): string => `metadata.annotations["${key}"]`;

const FROM = { "cardea.dev/valid-from": "2026-01-01T00:00:00Z" };
const UNTIL = { "cardea.dev/expires": "2026-01-01T01:00:00Z" };
const TICKET = { "cardea.dev/ticket": "INC-7" };
const WHO = { "cardea.dev/requested-by": "ada" };
const BROKEN = { "cardea.dev/break-glass": "true" };
const GLASS = { ...FROM, ...UNTIL, ...TICKET, ...WHO, ...BROKEN };
const NEEDS = `${fieldOf("cardea.dev/break-glass")} needs cardea.dev/valid-from, cardea.dev/expires, cardea.dev/ticket and cardea.dev/requested-by`;
const NO_TIME = "expected a time like 2026-01-31T12:00:00Z (RFC 3339), found ";
const NO_WORD = "expected at most 128 visible ASCII characters, found ";
const NO_FLAG = 'expected "true" or "false"';

const timed = (text: string): object => ({ "cardea.dev/expires": text });
const ticketed = (text: string): object => ({ "cardea.dev/ticket": text });
const badTimes = [
  // Which Date.parse would take.
  "+002026-01-01T00:00:00Z",
  "2026-01-01T00:00:00Z (noon)",
  "2026-01-01T00:00:00+01:00 UTC",

  "2026-01-01",
  "2026-01-01T00:00:00",
  "x2026-01-01T00:00:00Z",
  "2026-01-01T00:00:00Zx",
  "2026-13-01T00:00:00Z",
];
const badWords = [" a", "a ", "a\nb", "\u001Ba", "a\u007F", "é", "x".repeat(129)];
const badFlags = ["yes", "2", "xtrue", "truex", "xfalse", "falsex", "tRUE", "fALSE"];

test.each<readonly [string, unknown, readonly string[]]>([
  ["no map", ["a"], ["metadata.annotations expected a map, found a list"]],
  ["a number", { other: 7 }, [`${fieldOf("other")} `]],
  ...badFlags.map((text): [string, object, readonly string[]] => [
    `a dry run of ${text}`,
    { "istio.io/dry-run": text },
    [`${fieldOf("istio.io/dry-run")} ${NO_FLAG}`],
  ]),
  ["an empty dry run", { "istio.io/dry-run": "" }, [`${fieldOf("istio.io/dry-run")} `]],
  [
    "a misspelt one",
    { "cardea.dev/expire": "x" },
    [`${fieldOf("cardea.dev/expire")} unknown annotation; did you mean \`cardea.dev/expires\`?`],
  ],
  ["one like none", { "cardea.dev/zzzzzzzzzzzz": "x" }, [`${fieldOf("cardea.dev/zzzzzzzzzzzz")} unknown annotation`]],
  ["one of the language", { "cardea.dev/": "x" }, [`${fieldOf("cardea.dev/")} unknown annotation`]],
  ...badTimes.map((text): [string, object, readonly string[]] => [
    `a time of ${text}`,
    timed(text),
    [`${fieldOf("cardea.dev/expires")} ${NO_TIME}${JSON.stringify(text)}`],
  ]),
  [
    "a beginning that is none",
    { "cardea.dev/valid-from": "soon" },
    [`${fieldOf("cardea.dev/valid-from")} ${NO_TIME}"soon"`],
  ],
  ["an empty time", timed(""), [`${fieldOf("cardea.dev/expires")} must not be empty`]],
  ...badWords.map((text): [string, object, readonly string[]] => [
    `a ticket of ${JSON.stringify(text.slice(0, 9))}`,
    ticketed(text),
    [`${fieldOf("cardea.dev/ticket")} ${NO_WORD}${JSON.stringify(text)}`],
  ]),
  ["an empty ticket", ticketed(""), [`${fieldOf("cardea.dev/ticket")} must not be empty`]],
  ["nobody's", { "cardea.dev/requested-by": "\t" }, [`${fieldOf("cardea.dev/requested-by")} ${NO_WORD}"\\t"`]],
  [
    "a glass half broken",
    { ...GLASS, "cardea.dev/break-glass": "yes" },
    [`${fieldOf("cardea.dev/break-glass")} ${NO_FLAG}`],
  ],
  ["an empty glass", { "cardea.dev/break-glass": "" }, [`${fieldOf("cardea.dev/break-glass")} must not be empty`]],
  [
    "an end at its beginning",
    { ...FROM, "cardea.dev/expires": "2026-01-01T00:00:00Z" },
    [`${fieldOf("cardea.dev/expires")} must be later than cardea.dev/valid-from`],
  ],
  [
    "an end before its beginning",
    { ...FROM, "cardea.dev/expires": "2025-12-31T23:59:59Z" },
    [`${fieldOf("cardea.dev/expires")} must be later than cardea.dev/valid-from`],
  ],
  ["a glass without a beginning", { ...UNTIL, ...TICKET, ...WHO, ...BROKEN }, [NEEDS]],
  ["a glass without an end", { ...FROM, ...TICKET, ...WHO, ...BROKEN }, [NEEDS]],
  ["a glass without a ticket", { ...FROM, ...UNTIL, ...WHO, ...BROKEN }, [NEEDS]],
  ["a glass of nobody", { ...FROM, ...UNTIL, ...TICKET, ...BROKEN }, [NEEDS]],
  ["a glass alone", BROKEN, [NEEDS]],
  [
    "a glass for a moment more than a day",
    { ...GLASS, "cardea.dev/expires": "2026-01-02T00:00:00.001Z" },
    [`${fieldOf("cardea.dev/break-glass")} may last 24 hours at most`],
  ],
  // Of what is wrong in itself it is not said besides that it makes no sense together.
  ["a glass with a bad end", { ...GLASS, ...timed("soon") }, [`${fieldOf("cardea.dev/expires")} ${NO_TIME}"soon"`]],
])("annotations refused: %s", (_name, annotations, wanted) => {
  const { value, faults } = annotated(annotations);
  expect(value).toBeUndefined();
  expect(faults).toHaveLength(wanted.length);
  for (const [i, each] of wanted.entries()) expect(faults[i]!.startsWith(each), `${faults[i]} | ${each}`).toBe(true);
});

test("an unknown annotation that is like none of ours is told without a proposal", () => {
  expect(annotated({ "cardea.dev/zzzzzzzzzzzz": "x" }).faults[0]).toMatch(/unknown annotation$/);
});

const NO_TERMS = { fromMs: null, untilMs: null, ticket: null, requestedBy: null, isBreakGlass: false };
const START_MS = Date.UTC(2026, 0, 1);

test.each<readonly [object, boolean, object | null]>([
  [{}, false, null],
  [{ other: "" }, false, null],
  ...["0", "f", "F", "false", "FALSE", "False"].map((text): [object, boolean, null] => [
    { "istio.io/dry-run": text },
    false,
    null,
  ]),
  ...["1", "t", "T", "true", "TRUE", "True"].map((text): [object, boolean, null] => [
    { a: "b", "istio.io/dry-run": text },
    true,
    null,
  ]),
  [{ ...TICKET, "istio.io/dry-run": "true" }, true, { ticket: "INC-7" }],
  [FROM, false, { fromMs: START_MS }],
  [timed("2026-01-01t01:00:00.25+01:00"), false, { untilMs: START_MS + 250 }],
  [timed("2025-12-31T23:00:00-01:00"), false, { untilMs: START_MS }],
  [timed("2026-01-01T00:00:00z"), false, { untilMs: START_MS }],
  [{ ...FROM, ...timed("2026-01-01T00:00:00.001Z") }, false, { fromMs: START_MS, untilMs: START_MS + 1 }],
  [timed("1969-12-31T23:59:59Z"), false, { untilMs: -1_000 }],
  // Only what breaks the glass may not last.
  [{ ...FROM, ...timed("2027-01-01T00:00:00Z") }, false, { fromMs: START_MS, untilMs: Date.UTC(2027, 0, 1) }],
  [ticketed("~"), false, { ticket: "~" }],
  [ticketed("! a ~"), false, { ticket: "! a ~" }],
  [ticketed("x".repeat(128)), false, { ticket: "x".repeat(128) }],
  [{ ...WHO, "cardea.dev/break-glass": "false" }, false, { requestedBy: "ada" }],
  [
    GLASS,
    false,
    { fromMs: START_MS, untilMs: START_MS + 3_600_000, ticket: "INC-7", requestedBy: "ada", isBreakGlass: true },
  ],
  [
    { ...GLASS, ...timed("2026-01-02T00:00:00Z") },
    false,
    { fromMs: START_MS, untilMs: START_MS + 86_400_000, ticket: "INC-7", requestedBy: "ada", isBreakGlass: true },
  ],
])("annotations read: %o", (annotations, isDryRun, terms) => {
  const { value, faults } = annotated(annotations);
  expect(faults).toEqual([]);
  expect(value?.annotations).toEqual({ isDryRun, terms: terms === null ? null : { ...NO_TERMS, ...terms } });
});

test.each<readonly [unknown, string]>([
  [["a"], "spec.selector.matchLabels expected a map"],
  [{ "": "v" }, "spec.selector.matchLabels a label's name must not be empty"],
  [{ "app-*": "v" }, "spec.selector.matchLabels wildcards have no meaning in a selector: app-*=v"],
  [{ app: "v*" }, "spec.selector.matchLabels wildcards have no meaning in a selector: app=v*"],
  [{ "*": "*" }, "spec.selector.matchLabels wildcards have no meaning in a selector: *=*"],
])("labels refused: %o", (matchLabels, message) => {
  const { faults } = read(SELECTOR, { matchLabels }, "spec.selector");
  expect(faults.join("\n")).toContain(message);
  expect(faults).toHaveLength(1);
});

test("a label may be empty, and a selector without labels has none", () => {
  const { value, faults } = read(SELECTOR, { matchLabels: { app: "", version: "v1" } }, "spec.selector");
  expect(faults).toEqual([]);
  expect([...value!.matchLabels!]).toEqual([
    ["app", ""],
    ["version", "v1"],
  ]);
  expect(read(SELECTOR, {}, "spec.selector")).toEqual({ value: { matchLabels: null }, faults: [] });
});

test("what is said of the fields, and which versions are read", () => {
  expect(SECURITY_API_VERSIONS).toEqual(["security.istio.io/v1", "security.istio.io/v1beta1"]);
  expect(NO_TARGETS).toContain("select workloads by `selector`");
  expect(Object.keys(GRANT_ANNOTATIONS)).toEqual(
    ["valid-from", "expires", "ticket", "requested-by", "break-glass"].map((name) => `cardea.dev/${name}`),
  );
  expect(GRANT_ANNOTATIONS["cardea.dev/valid-from"]).toContain("begins");
  expect(GRANT_ANNOTATIONS["cardea.dev/expires"]).toContain("ends");
  expect(GRANT_ANNOTATIONS["cardea.dev/ticket"]).toContain("asked for by");
  expect(GRANT_ANNOTATIONS["cardea.dev/requested-by"]).toContain("Who");
  expect(GRANT_ANNOTATIONS["cardea.dev/break-glass"]).toContain("lasts a day at most");
});
