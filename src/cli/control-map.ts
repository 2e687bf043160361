import { dirname } from "node:path";
import type { MapConfig, MapReaderConfig } from "../config/control-config.ts";
import { createGround } from "../control/map/ground.ts";
import type { MapParts } from "../control/map/map-parts.ts";
import type { MapOptions } from "../control/map/open-map.ts";
import { everybodyReads, type TokenReader, tokenReaders } from "../control/map/readers.ts";
import type { Listening } from "../core/ports.ts";
import { readText } from "../io/files.ts";

interface Directories {
  readonly revisionsDirectory: string;
  readonly policiesDirectory: string;
}

/** The map of a control plane that stands on files. Errors: `bad-input`, and `unreachable` when the port is taken. */
export async function openLocalMap(
  { listen, tls, readers }: MapConfig,
  { config, sidecars, ...parts }: MapParts,
  { revisionsDirectory, policiesDirectory }: Directories,
): Promise<Listening> {
  const { openMap } = await import("../control/map/open-map.ts");
  return openMap({
    ...parts,
    name: config.name,
    settings: config.mesh,
    ground: createGround(parts),
    sidecars: () => sidecars.status(),
    revisionsDirectory,
    prefix: `${dirname(policiesDirectory)}/`,
    listen,
    tls: tls === null ? null : await readMaterial(tls),
    authenticate:
      readers.length === 0 ? everybodyReads : tokenReaders(await Promise.all(readers.map((each) => readReader(each)))),
  });
}

async function readMaterial({ certificateFile, keyFile }: NonNullable<MapConfig["tls"]>): Promise<MapOptions["tls"]> {
  return { chainPem: await readText(certificateFile), keyPem: await readText(keyFile) };
}

async function readReader({ tokenFile, namespaces }: MapReaderConfig): Promise<TokenReader> {
  const token = (await readText(tokenFile)).trim();
  return { token, namespaces: namespaces === null ? "all" : new Set(namespaces) };
}
