/** What the image is made of, out of the two lock files: nothing else gets into it. */
export interface Material {
  readonly kind: "npm" | "deb";
  readonly name: string;
  readonly version: string;
  /** Package URL, which scanners know it by. */
  readonly purl: string;
  readonly digest: { readonly algorithm: "sha256" | "sha512"; readonly hex: string };
  /** An SPDX expression; null where the lock file does not tell. */
  readonly license: string | null;
}

/** As containers call it. */
export type Architecture = "amd64" | "arm64";

export function isArchitecture(text: string): text is Architecture {
  return text === "amd64" || text === "arm64";
}

/** The lock files' texts → the materials of one architecture's image, by name. Throws when a package has no digest. */
export function listMaterials(npmLock: string, debianLock: string, architecture: Architecture): readonly Material[] {
  return [...npmMaterials(npmLock, architecture), ...debianMaterials(debianLock, architecture)];
}

interface LockedPackage {
  readonly version: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
}

const CPU = { amd64: "x64", arm64: "arm64" } as const;
/** Types, which prune-packages.sh takes out: nothing looks at them when it runs. */
const LEFT_OUT = /^(?:@types\/|undici-types$)/;

function npmMaterials(lock: string, architecture: Architecture): readonly Material[] {
  const { packages } = JSON.parse(lock) as { packages: Record<string, LockedPackage> };
  const installed = Object.entries(packages).filter(
    ([path, { dev, os, cpu }]) =>
      path !== "" && dev !== true && (os ?? ["linux"]).includes("linux") && isFor(cpu, architecture),
  );
  return installed.flatMap(([path, { version, integrity, license }]) => {
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    if (LEFT_OUT.test(name)) return [];
    const encoded = /^sha512-([A-Za-z0-9+/=]+)$/.exec(integrity ?? "")?.[1];
    if (encoded === undefined) throw new Error(`package-lock.json has no SHA-512 for ${name}`);
    const hex = Buffer.from(encoded, "base64").toString("hex");
    const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
    return [
      { kind: "npm", name, version, purl, digest: { algorithm: "sha512", hex }, license: license ?? null } as const,
    ];
  });
}

function isFor(cpu: readonly string[] | undefined, architecture: Architecture): boolean {
  return cpu === undefined || cpu.includes(CPU[architecture]);
}

/** A line of packages.lock: the image's architecture, name, its own architecture, version, SHA-256. */
const DEBIAN_LINE = /^(amd64|arm64) ([a-z0-9.+-]+) (amd64|arm64|all) (\S+) ([0-9a-f]{64})$/;

function debianMaterials(lock: string, architecture: Architecture): readonly Material[] {
  const lines = lock.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.flatMap((line) => {
    const [, image, name = "", own = "", version = "", hex = ""] = DEBIAN_LINE.exec(line) ?? [];
    if (image === undefined) throw new Error(`packages.lock: not understood: ${line}`);
    if (image !== architecture) return [];
    const purl = `pkg:deb/debian/${name.replaceAll("+", "%2B")}@${encodeURIComponent(version)}?arch=${own}&distro=bookworm`;
    return [{ kind: "deb", name, version, purl, digest: { algorithm: "sha256", hex }, license: null } as const];
  });
}
