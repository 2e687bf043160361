// `npm run reference`: writes docs/reference/, deploy/chart/ and deploy/manifests/ from the tables in the code.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { readVersion } from "../../src/cli/version.ts";
import { makeDeployFiles } from "./deploy-files.ts";
import { makeReferencePages } from "./reference-pages.ts";

for (const [path, text] of [...(await makeReferencePages()), ...makeDeployFiles(await readVersion())]) {
  const file = fileURLToPath(new URL(`../../${path}`, import.meta.url));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  process.stdout.write(`${path}\n`);
}
