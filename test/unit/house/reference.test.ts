import { expect, test } from "vitest";
import { makeReferencePages } from "../../support/reference-pages.ts";
import { projectHas, readProjectFile, readProjectFiles } from "./project-files.ts";

const pages = await makeReferencePages();

test.each([...pages])("%s is as the code has it (else: npm run reference)", (path, text) => {
  expect(projectHas(path)).toBe(true);
  expect(readProjectFile(path)).toBe(text);
});

test("docs/reference/ holds the generated pages and nothing else", () => {
  expect(readProjectFiles("docs/reference", [".md"]).map((file) => file.path)).toEqual([...pages.keys()].toSorted());
});

test("every page has rows", () => {
  for (const text of pages.values()) expect(text.match(/^\| /gm)?.length).toBeGreaterThan(3);
});
