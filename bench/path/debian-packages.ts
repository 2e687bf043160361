import { chmodSync, existsSync, globSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runToEnd } from "./child.ts";

const TIMEOUT_MS = 300_000;

/**
 * Gets packages and what they need and this machine has not, unpacks them into a directory, and gives a program of
 * theirs that finds its libraries there. Nothing is installed, so nobody need be root. Errors: where there is no apt, or
 * it has no such packages; `apt-get install` them by hand then.
 */
export async function unpackPackages(wanted: {
  readonly directory: string;
  readonly program: string;
  readonly packages: readonly string[];
}): Promise<string> {
  const { directory, program, packages } = wanted;
  const wrapper = join(directory, program);
  if (existsSync(wrapper)) return wrapper;
  const archives = join(directory, "archives");
  const root = join(directory, "root");
  mkdirSync(join(archives, "partial"), { recursive: true });
  mkdirSync(root, { recursive: true });
  const settings = [`Dir::Cache::archives=${archives}/`, "Debug::NoLocking=1", "APT::Sandbox::User=root"];
  const options = settings.flatMap((setting) => ["-o", setting]);
  const words = ["install", "--reinstall", "--download-only", "--no-install-recommends", "-y", ...options, ...packages];
  try {
    await runToEnd("apt-get", words, TIMEOUT_MS);
  } catch (error) {
    throw new Error(`install the packages ${packages.join(", ")} (${String(error)})`, { cause: error });
  }
  for (const archive of globSync(join(archives, "*.deb")))
    await runToEnd("dpkg-deb", ["-x", archive, root], TIMEOUT_MS);
  const found = ["usr/sbin", "usr/bin", "sbin", "bin"].map((place) => join(root, place, program)).find(existsSync);
  if (found === undefined) throw new Error(`the packages ${packages.join(", ")} hold no program ${program}`);
  const libraries = globSync(join(root, "{usr/,}lib/*-linux-gnu*")).join(":");
  writeFileSync(wrapper, `#!/bin/sh\nLD_LIBRARY_PATH=${libraries} exec ${found} "$@"\n`);
  chmodSync(wrapper, 0o755);
  return wrapper;
}
