import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { IMAGE } from "../../src/core/image.ts";
import { runProgram } from "./programs.ts";

/** The image, built from this checkout. */
export interface BuiltImage {
  /** Where its files lie on this machine. */
  readonly root: string;
  readonly digest: string;
  /** Its configuration, as a registry would give it. */
  readonly config: ImageConfig;
  /** The file that was written beside it: `cdx` or `provenance`. */
  readBeside(kind: "cdx" | "provenance"): string;
  close(): Promise<void>;
}

interface ImageConfig {
  readonly architecture: string;
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly Labels: Readonly<Record<string, string>>;
  };
}

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LOCAL_BASE = "localhost/cardea-test-build";

/** Why no image can be built here, in words for the name of a skipped suite; null: it can. */
export const whyNoImage: string | null = missing();

function missing(): string | null {
  if (process.env["CARDEA_TEST_IMAGE"] !== "1") return "takes minutes: CARDEA_TEST_IMAGE=1";
  if (process.getuid?.() !== 0) return "needs root";
  try {
    execFileSync("sh", ["-c", "command -v buildah mmdebstrap npm"], { stdio: "ignore" });
    return null;
  } catch {
    return "needs buildah, mmdebstrap and npm";
  }
}

/** What to build in: BUILD_IMAGE, or one made of Debian's packages, once. */
export async function prepareBuildImage(): Promise<string> {
  const given = process.env["BUILD_IMAGE"];
  if (given !== undefined) return given;
  if ((await runProgram("buildah", ["inspect", "--type", "image", LOCAL_BASE])).code !== 0)
    await run("bash", [join(ROOT, "deploy/image/local-base.sh"), LOCAL_BASE]);
  return LOCAL_BASE;
}

/** Builds one anew, and gives it a directory. Containers are not nested: the machine may be one. */
export async function buildImage(buildImageName: string, architecture: string): Promise<BuiltImage> {
  const output = mkdtempSync(join(tmpdir(), "cardea-image-"));
  const words = ["BUILDAH_ISOLATION=chroot", `BUILD_IMAGE=${buildImageName}`];
  const printed = await run("env", [...words, "bash", join(ROOT, "deploy/image/build.sh"), output, architecture]);
  const digest = printed.trim().split(" ").at(-1)!;
  const container = (await run("buildah", ["from", `localhost/${IMAGE.name}:${IMAGE.tag}-${architecture}`])).trim();
  const root = (await run("buildah", ["mount", container])).trim();
  return {
    root,
    digest,
    config: readConfig(output, digest),
    readBeside: (kind) => readFileSync(join(output, `${IMAGE.name}-${IMAGE.tag}-${architecture}.${kind}.json`), "utf8"),
    async close() {
      await run("buildah", ["rm", container]);
      rmSync(output, { recursive: true, force: true });
    },
  };
}

function readConfig(output: string, digest: string): ImageConfig {
  const blob = (name: string) => readFileSync(join(output, "oci/blobs", name.replace(":", "/")), "utf8");
  const { config } = JSON.parse(blob(digest)) as { config: { digest: string } };
  return JSON.parse(blob(config.digest)) as ImageConfig;
}

async function run(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr.slice(-4_000)}`);
  return stdout;
}
