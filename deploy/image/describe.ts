import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { IMAGE } from "../../src/core/image.ts";
import { type BuiltImage, formatBillOfMaterials } from "./bill-of-materials.ts";
import { isArchitecture, listMaterials } from "./materials.ts";
import { formatProvenance } from "./provenance.ts";

// Writes an image's bill of materials and its provenance beside it; build.sh calls it from the project's root:
// node deploy/image/describe.ts OUTPUT ARCHITECTURE DIGEST EPOCH BUILD-IMAGE BUILDER [COMMIT]

const [output = "", architecture = "", digest = "", epoch = "", buildImage = "", builder = "", commit = ""] =
  process.argv.slice(2);
if (!isArchitecture(architecture)) throw new Error(`no image is made for ${architecture}`);
if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new Error(`not the digest of an image: ${digest}`);

const image: BuiltImage = {
  name: IMAGE.name,
  version: IMAGE.tag,
  architecture,
  digest,
  sourceEpochSec: Number(epoch),
};
const read = (path: string): string => readFileSync(path, "utf8");
const materials = listMaterials(read("package-lock.json"), read("deploy/image/packages.lock"), architecture);
const build = { commit: commit === "" ? null : commit, buildImage, builder };
const at = (kind: string): string => join(output, `${IMAGE.name}-${IMAGE.tag}-${architecture}.${kind}.json`);
writeFileSync(at("cdx"), formatBillOfMaterials(image, materials));
writeFileSync(at("provenance"), formatProvenance(image, build, materials));
