import { expect, test } from "vitest";
import { evaluate } from "../../../../src/control/install/evaluate.ts";
import {
  choose,
  digest,
  document,
  isSet,
  lift,
  namespace,
  not,
  spread,
  type TemplateMap,
  text,
  textWhen,
  value,
  when,
} from "../../../../src/control/install/template.ts";
import { writeHelm } from "../../../../src/control/install/write-helm.ts";
import { VALUE_TABLE } from "../../../../src/control/install/values.ts";

const TEMPLATE: TemplateMap = {
  kind: "Sample",
  name: text("a", textWhen(isSet("rev"), "-", value("rev"))),
  where: namespace,
  some: when(isSet("list"), { count: value("count") }),
  either: choose(not(isSet("rev")), "plain", "named"),
  items: ["first", spread("list"), when(isSet("rev"), "last")],
  held: document({ inner: value("list") }),
};

const written = (template: TemplateMap) => writeHelm([template], []);

test("a template is written as Helm reads it", () => {
  expect(written(TEMPLATE)).toBe(
    [
      "---",
      'kind: "Sample"',
      'name: "a{{ if .Values.rev }}-{{ .Values.rev }}{{ end }}"',
      "where: {{ toJson .Release.Namespace }}",
      "{{- if .Values.list }}",
      "some:",
      "  count: {{ toJson .Values.count }}",
      "{{- end }}",
      "{{- if not (.Values.rev) }}",
      'either: "plain"',
      "{{- else }}",
      'either: "named"',
      "{{- end }}",
      "items:",
      '- "first"',
      "{{- range .Values.list }}",
      "- {{ toJson . }}",
      "{{- end }}",
      "{{- if .Values.rev }}",
      '- "last"',
      "{{- end }}",
      "held: |",
      "  inner: {{ toJson .Values.list }}",
      "",
    ].join("\n"),
  );
});

test("the same template with values is an object", () => {
  const bare = evaluate(TEMPLATE, { values: { rev: "", list: [], count: 0 }, namespace: "mesh" });
  expect(bare).toEqual({
    kind: "Sample",
    name: "a",
    where: "mesh",
    either: "plain",
    items: ["first"],
    held: "inner: []\n",
  });
  expect(evaluate(TEMPLATE, { values: { rev: "b", list: ["x"], count: 2 }, namespace: "mesh" })).toMatchObject({
    name: "a-b",
    some: { count: 2 },
    either: "named",
    items: ["first", "x", "last"],
    held: "inner:\n  - x\n",
  });
});

test("a value that is not there is a bug, never an empty text", () => {
  expect(() => evaluate({ a: value("no.such") }, { values: {}, namespace: "mesh" })).toThrow(
    "there is no value no.such",
  );
});

test.each<[string, TemplateMap]>([
  ["a list's item that may have no first member", { a: [{ b: when(isSet("c"), 1) }] }],
  ["a document within a list", { a: [document({ b: 1 })] }],
])("%s cannot be written", (_, template) => {
  expect(() => written(template)).toThrow();
});

test("braces that Helm would read are an expression that gives braces: nothing else of the text is read", () => {
  const template = { a: "{{ .Values.secret }}", "{{b}}": [text("{{{", "c")] };
  expect(written(template)).toContain('a: "{{ "{{" }} .Values.secret }}"');
  expect(written(template)).toContain('"{{ "{{" }}b}}":');
  expect(written(template)).toContain('- "{{ "{{" }}{c"');
});

test("a digest is Go's, signs of HTML and the order of keys included", () => {
  const values = { a: { z: "<&>", b: [1, true, null] } };
  // printf '[{"b":[1,true,null],"z":"\\u003c\\u0026\\u003e"}]' | sha256sum
  expect(evaluate({ d: digest("a") }, { values, namespace: "" })).toEqual({
    d: "3849b36807b939cde141fdd9cc8fe6373b2ac81b4e28a5e58e31008a1f08413b",
  });
});

test("marks in objects that were made elsewhere become values, whole or within a text", () => {
  const marks = new Map([
    ["@rev", value("rev")],
    ["@list", spread("list")],
  ] as const);
  const lifted = lift({ names: ["x-@rev", "@list"], deep: { at: "@rev" } }, marks) as TemplateMap;
  expect(evaluate(lifted, { values: { rev: "b", list: ["y"] }, namespace: "" })).toEqual({
    names: ["x-b", "y"],
    deep: { at: "b" },
  });
});

test("settings of one group stand together in the table: a key that came twice in values.yaml would lose the first", () => {
  const groups = Object.keys(VALUE_TABLE).map((path) => path.split(".")[0]!);
  const begun = groups.filter((group, i) => group !== groups[i - 1]);
  expect(begun.length).toBeGreaterThan(5);
  expect(begun).toEqual([...new Set(begun)]);
});
