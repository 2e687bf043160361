import { expect, test } from "vitest";
import { replaceSection } from "../../../bench/path/readme.ts";
import { readProjectFile } from "../house/project-files.ts";

const PAGE = "# Bench\n<!-- bench:table begin: written by a run -->\n\nold\n\n<!-- bench:table end -->\nafter\n";

test("a section's content is replaced, its marks and the rest stay", () => {
  expect(replaceSection(PAGE, "table", "new\n")).toBe(PAGE.replace("old", "new"));
});

test("replacing twice is replacing once", () => {
  const once = replaceSection(PAGE, "table", "new");
  expect(replaceSection(once, "table", "new")).toBe(once);
});

test.each([
  ["no marks", "# Bench\n"],
  ["no end", "<!-- bench:table begin -->\n"],
  ["the end first", "<!-- bench:table end -->\n<!-- bench:table begin -->\n"],
  ["two of them", `${PAGE}${PAGE}`],
  ["another section's", PAGE.replaceAll("bench:table", "bench:soak")],
])("a page with %s is left alone", (_, page) => {
  expect(() => replaceSection(page, "table", "new")).toThrow("the page has no place for table");
});

test.each(["table", "soak"] as const)("the bench's README has a place for the %s", (section) => {
  expect(replaceSection(readProjectFile("bench/README.md"), section, "new")).toContain("\nnew\n");
});
