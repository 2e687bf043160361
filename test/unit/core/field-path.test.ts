import { expect, test } from "vitest";
import { parseYaml } from "../../../src/config/yaml.ts";
import { placeOfField } from "../../../src/core/field-path.ts";

const [DOCUMENT] = parseYaml(
  `metadata:
  name: a
  annotations: { "istio.io/dry-run": "true" }
spec:
  rules:
    - to:
        - operation:
            paths: ["/a", "/b"]
    - {}
`,
  "a.yaml",
  [],
);

test.each([
  ["spec.rules[0].to[0].operation.paths[1]", 8, 27],
  ["spec.rules[0].to[0].operation.paths", 8, 13],
  ["spec.rules[1]", 9, 7],
  ['metadata.annotations["istio.io/dry-run"]', 3, 18],
  ["", 1, 1],
])("%s is at %i:%i", (field, line, column) => {
  expect(placeOfField(DOCUMENT!, field)).toEqual({ line, column });
});

test.each([
  ["metadata.namespace", 1, 1],
  ["spec.rules[7].to[0]", 5, 3],
  ["spec.selector.matchLabels", 4, 1],
  ["nowhere[0].at.all", 1, 1],
])("what is not there is told by what is around it: %s", (field, line, column) => {
  expect(placeOfField(DOCUMENT!, field)).toEqual({ line, column });
});
