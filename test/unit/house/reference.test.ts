import { expect, test } from "vitest";
import { readVersion } from "../../../src/cli/version.ts";
import { makeDeployFiles } from "../../support/deploy-files.ts";
import { makeReferencePages } from "../../support/reference-pages.ts";
import { projectHas, readProjectFile, readProjectFiles } from "./project-files.ts";

const pages = await makeReferencePages();

const deployed = makeDeployFiles(await readVersion());

test.each([...pages, ...deployed])("%s is as the code has it (else: npm run reference)", (path, text) => {
  expect(projectHas(path)).toBe(true);
  expect(readProjectFile(path)).toBe(text);
});

test("docs/reference/ holds the generated pages and nothing else", () => {
  expect(readProjectFiles("docs/reference", [".md"]).map((file) => file.path)).toEqual([...pages.keys()].toSorted());
});

test.each(["deploy/chart", "deploy/manifests"])("%s holds what is generated and nothing else", (place) => {
  const made = [...deployed.keys()].filter((path) => path.startsWith(`${place}/`));
  expect(readProjectFiles(place, [""]).map((file) => file.path)).toEqual(made.toSorted());
});

test("every page has rows", () => {
  for (const text of pages.values()) expect(text.match(/^\| /gm)?.length).toBeGreaterThan(3);
});
