import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { curl } from "../support/curl.ts";
import { eventually } from "../support/local-mesh.ts";
import { type LoneSidecarPlace, prepareLoneSidecar, startLoneSidecar } from "../support/lone-sidecar.ts";

// What a sidecar has compiled is there for the next start, though it was killed, and already while it runs.

const PROXY = pathToFileURL(join(import.meta.dirname, "..", "..", "src", "cli", "proxy.ts")).href;
let place: LoneSidecarPlace;
let cache = "";

beforeEach(async () => {
  place = await prepareLoneSidecar();
  cache = join(place.directory, "compile-cache");
});
afterEach(() => place.remove());

test("a sidecar that was killed leaves what it has compiled to the next one, which takes it", async () => {
  const first = await start();
  try {
    await eventually(() => cachedFiles().length > 0);
    // To write is one step of its event loop: an answer after the first file says that all are there.
    await curl(`http://127.0.0.1:${place.ports.readiness}/healthz/ready`);
    expect(first.said()).not.toContain(`code cache for ESM ${PROXY} was accepted`);
  } finally {
    await first.end("SIGKILL");
  }
  expect(cachedFiles().filter(({ bytes }) => bytes === 0)).toEqual([]);

  const second = await start();
  await second.end("SIGKILL");
  expect(second.said()).toContain(`code cache for ESM ${PROXY} was accepted`);
  expect(second.said()).not.toContain("was rejected");
});

/** The runtime says of each file whether it was compiled or taken from the cache. */
function start() {
  return startLoneSidecar(place, { env: { NODE_COMPILE_CACHE: cache, NODE_DEBUG_NATIVE: "COMPILE_CACHE" } });
}

function cachedFiles(): readonly { readonly bytes: number }[] {
  const versions = readdirSync(place.directory).includes("compile-cache") ? readdirSync(cache) : [];
  return versions.flatMap((version) =>
    readdirSync(join(cache, version)).map((file) => ({ bytes: statSync(join(cache, version, file)).size })),
  );
}
