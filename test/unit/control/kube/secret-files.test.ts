import { beforeEach, expect, test } from "vitest";
import { openAuthority } from "../../../../src/control/ca/authority.ts";
import { openSecretFiles } from "../../../../src/control/kube/secret-files.ts";
import { KUBE } from "../../../../src/core/kube-resources.ts";
import { parseTrustDomain } from "../../../../src/core/spiffe-id.ts";
import type { StateFiles } from "../../../../src/core/state-files.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createMemoryKube, type MemoryKube } from "../../../support/memory-kube.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";
import { testRandom } from "../../../support/test-control.ts";

let kube: MemoryKube;
let files: StateFiles;

beforeEach(() => {
  kube = createMemoryKube();
  files = openSecretFiles({ kube, namespace: "cardea-system" });
});

test("what is written is read again, and other keys of the Secret stay", async () => {
  expect(await files.read("ca/a.pem")).toBeNull();
  expect(await files.list("ca")).toEqual([]);
  await files.write("ca/a.pem", "one");
  await files.write("ca/b.pem", "two");
  expect(await files.readPrivate("ca/a.pem")).toBe("one");
  expect(await files.list("ca")).toEqual(["a.pem", "b.pem"]);
  expect(await files.remove("ca/a.pem")).toBe(true);
  expect(await files.remove("ca/a.pem")).toBe(false);
  expect(await files.list("ca")).toEqual(["b.pem"]);
});

test("of many that create the same file at once one wins", async () => {
  const all = Array.from({ length: 6 }, (_, index) => files.create("ca/root.pem", `root ${index}`));
  const won = await Promise.all(all);
  expect(won.filter(Boolean)).toHaveLength(1);
  expect(await files.read("ca/root.pem")).toBe(`root ${won.indexOf(true)}`);
  expect(await files.create("ca/root.pem", "late")).toBe(false);
});

test("replicas that begin at once have one root", async () => {
  const clock = createSimulatedClock(Date.UTC(2026, 0, 1));
  const trustDomain = parseTrustDomain("cluster.local");
  const open = () => openAuthority({ files, trustDomain, clock, random: testRandom, logger: createKeptLog() });
  const authorities = await Promise.all([open(), open(), open(), open()]);
  expect(new Set(authorities.map(({ bundle }) => bundle.pem)).size).toBe(1);
  const again = await open();
  expect(again.bundle.pem).toBe(authorities[0].bundle.pem);
});

test("nothing is written when the API fails, or conflicts do not end", async () => {
  kube.fail("get", "kube-forbidden");
  await expect(files.write("ca/a.pem", "x")).rejects.toMatchObject({ code: "kube-forbidden" });
  await files.write("ca/a.pem", "x");
  kube.fail("update", ...Array.from({ length: 20 }, () => "kube-conflict" as const));
  await expect(files.write("ca/a.pem", "y")).rejects.toMatchObject({ code: "kube-conflict" });
  expect(await files.read("ca/a.pem")).toBe("x");
});

test.each(["ca", "ca/x/y", "../secret/x", "ca/..%2fx", "/x"])("%j is no path of a Secret", async (path) => {
  await expect(files.write(path, "x")).rejects.toMatchObject({ code: "internal" });
  expect(kube.peek(KUBE.secrets, "cardea-ca", "cardea-system")).toBeUndefined();
});
