import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT, readProjectFile } from "../house/project-files.ts";

// What the image leaves out of the packages that it runs on must not be what they need.

interface Packages {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

const { packages } = JSON.parse(readProjectFile("package-lock.json")) as {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
};
const manifest = JSON.parse(readProjectFile("package.json")) as Packages;
const asked = [...Object.keys(manifest.dependencies), "koffi"].filter((name) =>
  existsSync(join(ROOT, "node_modules", name)),
);

const directory = mkdtempSync(join(tmpdir(), "cardea-pruned-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

beforeAll(() => {
  const runtime = Object.keys(packages).filter(
    (path) =>
      path.startsWith("node_modules/") && packages[path]!.dev !== true && !/\/node-(?:bin|linux|darwin)-/.test(path),
  );
  for (const path of runtime.filter((each) => existsSync(join(ROOT, each))))
    cpSync(join(ROOT, path), join(directory, path), { recursive: true });
  execFileSync("bash", [join(ROOT, "deploy/image/prune-packages.sh"), join(directory, "node_modules")]);
});

test.each(asked)("%s loads when it is pruned as in the image, in either way of loading", (name) => {
  const script = join(directory, "load.mjs");
  writeFileSync(
    script,
    `import { createRequire } from "node:module";
const required = createRequire(import.meta.url)(${JSON.stringify(name)});
const imported = await import(${JSON.stringify(name)});
console.log(Object.keys(required).length > 0 && Object.keys(imported).length > 0);`,
  );
  expect(execFileSync(process.execPath, [script], { encoding: "utf8" })).toBe("true\n");
});

test("what is for building alone is gone", () => {
  const paths = ["@types", "koffi/vendor", "koffi/src/koffi/src/call.cc", "koffi/index.d.ts"];
  expect(paths.filter((path) => existsSync(join(directory, "node_modules", path)))).toEqual([]);
});
