import { expect, test } from "vitest";
import { IMAGE, imageReference } from "../../../src/core/image.ts";
import { readProjectFile } from "./project-files.ts";

// src/core/image.ts is what manifests rely on, the Dockerfile what is built.

const dockerfile = readProjectFile("Dockerfile").replaceAll(/\\\n/g, "");
const instructions = dockerfile.split("\n").filter((line) => /^[A-Z]+ /.test(line));
/** Of what ends up in the image: after the last base but one's stages. */
const final = instructions.slice(instructions.findIndex((line) => line.startsWith("FROM scratch")));

function wordsOf(name: string): readonly string[] {
  return final.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));
}

test("the image starts what the table says", () => {
  expect(wordsOf("ENTRYPOINT").map((text) => JSON.parse(text) as unknown)).toEqual([IMAGE.entrypoint]);
  expect(wordsOf("USER").at(-1)).toBe(`${IMAGE.user.uid}:${IMAGE.user.gid}`);
  expect(IMAGE.entrypoint[0]).toBe(IMAGE.program[0]);
});

test("it sets the variables of the table", () => {
  const set = wordsOf("ENV").flatMap((text) => text.split(" "));
  expect(set).toEqual(expect.arrayContaining(Object.entries(IMAGE.env).map(([name, value]) => `${name}=${value}`)));
});

test("its tag is the version of the package", () => {
  const { version } = JSON.parse(readProjectFile("package.json")) as { version: string };
  expect(IMAGE.tag).toBe(version);
  expect(imageReference("registry.example/team")).toBe(`registry.example/team/cardea:${version}`);
});

test("it begins with nothing, and no stage of it runs anything as root in it", () => {
  expect(final[0]).toMatch(/^FROM scratch/);
  expect(wordsOf("ADD")).toEqual([]);
  const copied = wordsOf("COPY");
  expect(copied.length).toBeGreaterThan(2);
  expect(copied.filter((text) => !text.startsWith("--from="))).toEqual([]);
});
