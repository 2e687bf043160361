import { createHash } from "node:crypto";
import type { Architecture, Material } from "./materials.ts";

/** One image, as it lies in a registry. */
export interface BuiltImage {
  /** e.g. `cardea`. */
  readonly name: string;
  readonly version: string;
  readonly architecture: Architecture;
  /** Of its manifest: `sha256:…`. */
  readonly digest: string;
  /** When its sources were made, in seconds. */
  readonly sourceEpochSec: number;
}

/** CycloneDX 1.6, JSON. The same image has the same text. */
export function formatBillOfMaterials(image: BuiltImage, materials: readonly Material[]): string {
  const { name, version, architecture, digest, sourceEpochSec } = image;
  const root = `pkg:oci/${name}@${encodeURIComponent(digest)}?arch=${architecture}&tag=${version}`;
  const bom = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf(root)}`,
    version: 1,
    metadata: {
      timestamp: new Date(sourceEpochSec * 1_000).toISOString(),
      component: { type: "container", "bom-ref": root, name, version, purl: root },
    },
    components: materials.map(component),
    dependencies: [{ ref: root, dependsOn: materials.map(({ purl }) => purl) }],
  };
  return `${JSON.stringify(bom, null, 2)}\n`;
}

function component({ kind, name, version, purl, digest, license }: Material): object {
  const scoped = kind === "npm" ? /^(@[^/]+)\/(.+)$/.exec(name) : null;
  return {
    // A platform is what the others run on.
    type: kind === "npm" && name.startsWith("node-linux-") ? "platform" : "library",
    "bom-ref": purl,
    ...(scoped === null ? { name } : { group: scoped[1], name: scoped[2] }),
    version,
    hashes: [{ alg: digest.algorithm === "sha512" ? "SHA-512" : "SHA-256", content: digest.hex }],
    ...(license === null ? {} : { licenses: [licenseOf(license)] }),
    purl,
  };
}

function licenseOf(text: string): object {
  return /^[A-Za-z0-9.+-]+$/.test(text) ? { license: { id: text } } : { expression: text };
}

/** A name-based UUID (RFC 9562, version 8): the text's own digest. */
function uuidOf(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
