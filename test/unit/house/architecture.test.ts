import { expect, test } from "vitest";
import { sectionOf } from "./markdown.ts";
import { projectHas, readProjectFile, readProjectFiles } from "./project-files.ts";

const dataPath = sectionOf(readProjectFile("ARCHITECTURE.md"), "## The data path");
const picture = /^```text\n(.*?)^```/ms.exec(dataPath)?.[1] ?? "";
const pictured = filesIn(picture);

/** File names as the picture has them: from src/proxy/, e.g. `accept.ts` or `http1/exchange.ts`. */
function filesIn(text: string): string[] {
  return [...text.matchAll(/[a-z0-9][a-z0-9/-]*\.ts/g)].map((match) => match[0]);
}

test("every file of the picture of the data path exists", () => {
  expect(pictured.length).toBeGreaterThan(8);
  expect(pictured.filter((name) => !projectHas(`src/proxy/${name}`))).toEqual([]);
});

test("every file of src/proxy/ stands in the picture or in the list below it", () => {
  const listed = new Set(filesIn(dataPath));
  const files = readProjectFiles("src/proxy", [".ts"]).map((file) => file.path.replace("src/proxy/", ""));
  const atTheRoot = files.filter((name) => !name.includes("/"));
  expect(atTheRoot.length).toBeGreaterThan(8);
  expect(atTheRoot.filter((name) => !listed.has(name))).toEqual([]);
});

test("every folder of src/ stands in the table of the house", () => {
  const house = sectionOf(readProjectFile("ARCHITECTURE.md"), "## The house");
  const folders = new Set(
    readProjectFiles("src", [".ts"]).map((file) => file.path.split("/")[1]!.replace(/\.ts$/, "")),
  );
  expect(folders.size).toBeGreaterThan(8);
  expect(
    [...folders].filter((folder) => !house.includes(`\`${folder === "main" ? "main.ts" : `${folder}/`}\``)),
  ).toEqual([]);
});
