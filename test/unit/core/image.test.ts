import { expect, test } from "vitest";
import { IMAGE, imageReference } from "../../../src/core/image.ts";
import { readProjectFile } from "../house/project-files.ts";

test("the image's tag is the version of the package", () => {
  const { version } = JSON.parse(readProjectFile("package.json")) as { version: string };
  expect(IMAGE.tag).toBe(version);
});

test.each([
  ["", `cardea:${IMAGE.tag}`],
  ["registry.example/team", `registry.example/team/cardea:${IMAGE.tag}`],
])("in the registry %j the image is %s", (registry, reference) => {
  expect(imageReference(registry)).toBe(reference);
});
