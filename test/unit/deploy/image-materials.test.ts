import { expect, test } from "vitest";
import { formatBillOfMaterials } from "../../../deploy/image/bill-of-materials.ts";
import { listMaterials } from "../../../deploy/image/materials.ts";
import { formatProvenance } from "../../../deploy/image/provenance.ts";
import { readProjectFile } from "../house/project-files.ts";

const npmLock = readProjectFile("package-lock.json");
const debianLock = readProjectFile("deploy/image/packages.lock");
const IMAGE = {
  name: "cardea",
  version: "0.1.0",
  architecture: "amd64",
  digest: `sha256:${"ab".repeat(32)}`,
  sourceEpochSec: 1_700_000_000,
} as const;

test.each(["amd64", "arm64"] as const)("what %s is made of: its Node, its koffi, Debian's packages, no tools", (of) => {
  const names = listMaterials(npmLock, debianLock, of).map(({ name }) => name);
  const cpu = of === "amd64" ? "x64" : "arm64";
  expect(names).toEqual(
    expect.arrayContaining([`node-linux-${cpu}`, "koffi", `@koromix/koffi-linux-${cpu}`, "libc6", "nftables"]),
  );
  const foreign = /^(?:vitest|typescript|@types\/.*|node-darwin.*|node-bin.*|@koromix\/koffi-(?!linux).*)$/;
  expect(names.filter((name) => foreign.test(name))).toEqual([]);
  expect(names.filter((name) => name === `node-linux-${cpu === "x64" ? "arm64" : "x64"}`)).toEqual([]);
});

test("both architectures are made of the same Debian packages, those that are named", () => {
  const named = readProjectFile("deploy/image/packages.txt")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(" ")[0]);
  for (const of of ["amd64", "arm64"] as const) {
    const debs = listMaterials(npmLock, debianLock, of).filter(({ kind }) => kind === "deb");
    expect(debs.map(({ name }) => name)).toEqual(named);
  }
});

test.each([
  ["a package without a digest", '{"packages":{"node_modules/x":{"version":"1.0.0"}}}', "", /no SHA-512 for x/],
  [
    "one whose digest is weak",
    '{"packages":{"node_modules/x":{"version":"1.0.0","integrity":"sha1-AA=="}}}',
    "",
    /no SHA-512 for x/,
  ],
  ["a line of another form", '{"packages":{}}', "amd64 libc6 2.36", /not understood/],
])("%s is refused", (_what, npm, debian, message) => {
  expect(() => listMaterials(npm, debian, "amd64")).toThrow(message);
});

test("a bill of materials is the same each time, and another image's is another", () => {
  const materials = listMaterials(npmLock, debianLock, "amd64");
  const text = formatBillOfMaterials(IMAGE, materials);
  expect(formatBillOfMaterials(IMAGE, materials)).toBe(text);
  const bom = JSON.parse(text) as {
    serialNumber: string;
    components: object[];
    dependencies: { dependsOn: string[] }[];
  };
  expect(bom.components).toHaveLength(materials.length);
  expect(new Set(bom.dependencies[0]!.dependsOn).size).toBe(materials.length);
  const otherImage = { ...IMAGE, digest: `sha256:${"cd".repeat(32)}` };
  const other = JSON.parse(formatBillOfMaterials(otherImage, materials)) as typeof bom;
  expect(other.serialNumber).not.toBe(bom.serialNumber);
});

test("a provenance names a commit only where there is one", () => {
  const build = { commit: null, buildImage: "debian", builder: "buildah" };
  expect(formatProvenance(IMAGE, build, [])).not.toContain("gitCommit");
  const stated = JSON.parse(formatProvenance(IMAGE, { ...build, commit: "c0ffee" }, [])) as {
    subject: object[];
    predicate: { buildDefinition: { resolvedDependencies: object[] } };
  };
  expect(stated.subject).toEqual([{ name: "cardea", digest: { sha256: "ab".repeat(32) } }]);
  expect(stated.predicate.buildDefinition.resolvedDependencies).toMatchObject([{ digest: { gitCommit: "c0ffee" } }]);
});
