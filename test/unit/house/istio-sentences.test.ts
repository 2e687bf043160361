import { describe, expect, test } from "vitest";
import { parseSentenceTable } from "../../support/istio-sentences/sentence-table.ts";
import { digestOf, ISTIO_SOURCES, keyOf, readSentences, sentencesOf } from "../../support/istio-sentences/sources.ts";
import { isCalled, testsOf, type WrittenTest } from "../../support/istio-sentences/test-names.ts";
import { projectHas, readProjectFile, readProjectFiles } from "./project-files.ts";

// docs/istio-sentences/ goes through what Istio's documentation and API comments state, sentence by sentence: each is held by
// tests, or stands among the differences, or states nothing.

const tables = ISTIO_SOURCES.map((source) => ({
  ...source,
  rows: parseSentenceTable(readProjectFile(`docs/istio-sentences/${source.name}.md`)),
}));
const rows = tables.flatMap((table) => table.rows.map((row) => ({ table: table.name, ...row })));

/** Sentences on what is being built. This number only falls. */
const PENDING_MAX = 0;

test("every source has a table, and every table a source", () => {
  const pages = readProjectFiles("docs/istio-sentences", [".md"]).map((file) => file.path);
  const wanted = ["README", ...ISTIO_SOURCES.map((source) => source.name)].map((n) => `docs/istio-sentences/${n}.md`);
  expect(pages).toEqual(wanted.toSorted());
  expect(tables.filter((table) => table.rows.length === 0)).toEqual([]);
});

test.each(ISTIO_SOURCES)("the table $name says what it was made from", ({ name, path, pinned }) => {
  const text = readProjectFile(`docs/istio-sentences/${name}.md`);
  expect(text).toContain(path);
  expect(text).toContain(pinned);
});

test.each(tables)("$name: no sentence stands twice, and none is left out", (table) => {
  const keys = table.rows.map((row) => row.key);
  expect(keys.filter((key, at) => keys.indexOf(key) !== at)).toEqual([]);
  expect(digestOf(keys)).toBe(table.digest);
});

test("the tests that hold the sentences are there, by file and full name", () => {
  const named = new Set(rows.flatMap((row) => row.tests));
  expect(named.size).toBeGreaterThan(50);
  const files = new Map<string, readonly WrittenTest[]>();
  const missing = [...named].filter((id) => {
    const [path, ...names] = id.split(" › ");
    if (!projectHas(path!)) return true;
    const tests = files.get(path!) ?? testsOf(readProjectFile(path!));
    files.set(path!, tests);
    return !tests.some((each) => isCalled(each, names.join(" › ")));
  });
  expect(missing).toEqual([]);
});

test("the differences that sentences are put down to are in the guide", () => {
  const guide = readProjectFile("docs/guides/differences-from-istio.md").split("\n");
  const subjects = new Set(guide.map((line) => line.split("|")[1]?.trim()));
  const named = rows.flatMap((row) => row.differs?.subject ?? []);
  expect(named.length).toBeGreaterThan(3);
  expect([...new Set(named)].filter((subject) => !subjects.has(subject))).toEqual([]);
});

test(`no more than ${PENDING_MAX} sentences wait for what is being built`, () => {
  expect(rows.filter((row) => row.pending !== null).length).toBeLessThanOrEqual(PENDING_MAX);
});

test.skipIf(process.env.ISTIO_API === undefined)(
  "istio/api has the sentences of its tables, and no others (needs ISTIO_API, a checkout)",
  () => expectAllRows("ISTIO_API"),
);

test.skipIf(process.env.ISTIO_DOCS === undefined)(
  "istio/istio.io has the sentences of its tables, and no others (needs ISTIO_DOCS, a checkout)",
  () => expectAllRows("ISTIO_DOCS"),
);

function expectAllRows(checkout: "ISTIO_API" | "ISTIO_DOCS"): void {
  for (const table of tables.filter((each) => each.checkout === checkout)) {
    const sentences = new Map(readSentences(table, process.env[checkout]!).map((each) => [keyOf(each), each]));
    const known = new Set(table.rows.map((row) => row.key));
    expect([...sentences].filter(([key]) => !known.has(key))).toEqual([]);
    expect(table.rows.filter((row) => sentences.get(row.key)?.place !== row.place)).toEqual([]);
  }
}

describe("how sentences are found", () => {
  const source = { ...ISTIO_SOURCES[0]!, path: "x.proto" };
  const PROTO = `// Copyright: no sentence of the documentation.
syntax = "proto3";
// $title: none
// It opens. See [here](https://example.org/a_(b)) for more, e.g. this.
//
// \`\`\`yaml
// a: No sentence.
// \`\`\`
package p;

// The kind.
// +cue-gen:P:none
message P {
  // Optional. The first field.
  // Goes on.
  repeated string first_field = 1;
  enum E {
    // A value.
    ONE = 0;
  }
  // $hide_from_docs
  oneof o {
    // Within.
    string second = 2 [(google.api.field_behavior) = REQUIRED];
  }
}
`;

  test("in comments: by message, field and value, without orders to generators and examples", () => {
    expect(sentencesOf(source, PROTO).map(({ place, words }) => `${place}: ${words}`)).toEqual([
      "introduction: It opens.",
      "introduction: See here for more, e.g. this.",
      "P: The kind.",
      "P.first_field: Optional. The first field.",
      "P.first_field: Goes on.",
      "P.E.ONE: A value.",
      "P.second: Within.",
    ]);
    expect(sentencesOf({ ...source, only: ["P.E"] }, PROTO)).toHaveLength(1);
  });

  test("in pages: by heading, rows and items each for itself, from one heading to another", () => {
    const text = `---
title: No sentence.
---
Before. {{< gloss >}}Word{{< /gloss >}} stays.

## One

1. An item
goes on. And ends.

    {{< text bash >}}
    $ No sentence.
    {{< /text >}}

| a | b |
|---|---|
| \`x\` | It is. Both. |

## Clean up

Away.

## Two

Last.
`;
    const page = { ...source, path: "x.md", without: ["Clean up"] };
    expect(sentencesOf(page, text).map(({ place, words }) => `${place}: ${words}`)).toEqual([
      "introduction: Before.",
      "introduction: Word stays.",
      "One: An item goes on.",
      "One: And ends.",
      "One: `x` | It is. Both.",
      "Two: Last.",
    ]);
    expect(sentencesOf({ ...page, from: "One", until: "Two" }, text)).toHaveLength(3);
  });

  test("a word more makes another key, and a line break does not", () => {
    const keys = ["It denies them.", "It denies\nthem.", "It denies all of them."].map((text) =>
      sentencesOf({ ...source, path: "x.md" }, text).map(keyOf),
    );
    expect(keys[1]).toEqual(keys[0]);
    expect(keys[2]).not.toEqual(keys[0]);
  });
});

describe("how tests are found", () => {
  const TEXT = `describe("group", () => {
  const ROWS: [string, number][] = [
    ["a case", 1],
  ];

  test.each(ROWS)("takes %s", () => {
    expect("another").toBe("another");
  });

  test.each([
    ["in place", f("x")],
  ])(
    "over %s lines",
    () => {},
  );
});

test("it's \\"alone\\"", () => {});
`;
  const has = (name: string): boolean => testsOf(TEXT).some((each) => isCalled(each, name));

  test.each(["group › takes a case", "group › takes %s", "group › over in place lines", 'it\'s "alone"'])(
    "%s",
    (name) => {
      expect(has(name)).toBe(true);
    },
  );

  test.each(["takes a case", "group › takes another", "group › takes in place", "group › it's", "group › takes a"])(
    "but not %s",
    (name) => {
      expect(has(name)).toBe(false);
    },
  );
});

test.each([
  ["| `0123abcd` | says | test/a.test.ts › b<br>pending: c |", "two things"],
  ["| `0123abcd` | says | maybe |", "held by nothing"],
  ["| 0123abcd | says | pending: c |", "not a row"],
  ["| `0123abcd` | says | test/a.test.ts › b<br>maybe |", "unknown"],
])("a table's row %s is refused", (row, fault) => {
  expect(() => parseSentenceTable(row)).toThrow(fault);
});
