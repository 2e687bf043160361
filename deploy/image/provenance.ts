import type { BuiltImage } from "./bill-of-materials.ts";
import type { Material } from "./materials.ts";

export interface Build {
  /** The commit; null where the sources were not those of one. */
  readonly commit: string | null;
  /** What it was built in, as the Dockerfile's BUILD_IMAGE. */
  readonly buildImage: string;
  /** e.g. `buildah version 1.28.2`. */
  readonly builder: string;
}

/**
 * SLSA provenance v1 as an in-toto statement (https://slsa.dev/spec/v1.0/provenance). It is not signed: who publishes the
 * image signs it, with what they are known by.
 */
export function formatProvenance(image: BuiltImage, build: Build, materials: readonly Material[]): string {
  const { name, architecture, digest, sourceEpochSec } = image;
  const source =
    build.commit === null ? [] : [{ uri: "git+https://cardea.dev/source", digest: { gitCommit: build.commit } }];
  const packages = materials.map(({ purl, digest: { algorithm, hex } }) => ({
    uri: purl,
    digest: { [algorithm]: hex },
  }));
  const statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name, digest: { sha256: digest.replace(/^sha256:/, "") } }],
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: {
      buildDefinition: {
        buildType: "https://cardea.dev/build/image/v1",
        externalParameters: { platform: `linux/${architecture}`, sourceDateEpoch: sourceEpochSec },
        internalParameters: { buildImage: build.buildImage },
        resolvedDependencies: [...source, ...packages],
      },
      runDetails: { builder: { id: "https://cardea.dev/build/local/v1", version: { buildah: build.builder } } },
    },
  };
  return `${JSON.stringify(statement, null, 2)}\n`;
}
