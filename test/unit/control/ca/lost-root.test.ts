import { beforeEach, describe, expect, test } from "vitest";
import { type Authority, openAuthority } from "../../../../src/control/ca/authority.ts";
import type { PublishedRoot } from "../../../../src/control/ca/published-roots.ts";
import { parseTrustDomain } from "../../../../src/core/spiffe-id.ts";
import { createKeptLog, type KeptLog } from "../../../support/kept-log.ts";
import { createMemoryStateFiles, type MemoryStateFiles } from "../../../support/memory-state-files.ts";
import { createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";
import { testRandom } from "../../../support/test-control.ts";

// A store that has lost the root, while workloads trust it: a second root would cut the mesh in two.

const ROOT = "ca/root-with-key.pem";
const DAY_MS = 86_400_000;

let files: MemoryStateFiles;
let clock: SimulatedClock;
let log: KeptLog;
let published: PublishedRoot[];

beforeEach(() => {
  files = createMemoryStateFiles();
  clock = createSimulatedClock(Date.UTC(2026, 0, 1));
  log = createKeptLog();
  published = [];
});

function open(from: MemoryStateFiles = files): Promise<Authority> {
  const published_ = { root: "the root in the Secret", way: "Restore the Secret", read: async () => published };
  const trustDomain = parseTrustDomain("cluster.local");
  return openAuthority({ files: from, published: published_, trustDomain, clock, random: testRandom, logger: log });
}

function publish(pem: string, isBinding = true): void {
  published.push({ where: `ConfigMap ${isBinding ? "cardea-system" : "shop"}/cardea-root-cert`, pem, isBinding });
}

describe("no root is made, and nothing is written,", () => {
  test.each([true, false])("while workloads are told to trust one (by ourselves: %s)", async (isBinding) => {
    const { bundle } = await open(createMemoryStateFiles());
    publish(bundle.pem, isBinding);
    await expect(open()).rejects.toMatchObject({
      code: "bad-input",
      message: expect.stringMatching(/the root in the Secret is missing.*ConfigMap .*\/cardea-root-cert\. Restore/),
    });
    expect([...files.texts]).toEqual([]);
  });

  test("while they are told so by what cannot be read any more", async () => {
    publish("half a certif");
    await expect(open()).rejects.toMatchObject({ code: "bad-input" });
    expect([...files.texts]).toEqual([]);
  });

  test("while nobody can be asked what they are told", async () => {
    const trustDomain = parseTrustDomain("cluster.local");
    const options = { files, trustDomain, clock, random: testRandom, logger: log };
    const opening = openAuthority({ ...options, published: { root: "", way: "", read: isAway } });
    await expect(opening).rejects.toThrow("the API server is away");
    expect([...files.texts]).toEqual([]);
  });

  test("in a thousand namespaces: a few are named", async () => {
    for (let index = 0; index < 1_000; index += 1) publish("x", false);
    await expect(open()).rejects.toThrow(/ and 995 more\. /);
  });
});

test("whoever starts while another makes the root takes that one", async () => {
  const other = await open(createMemoryStateFiles());
  const made = createMemoryStateFiles();
  await open(made);
  const whole = made.texts.get(ROOT)!;
  // It is there between our look at the store and our look at what is published.
  const list = files.list.bind(files);
  files.list = async (path) => {
    const before = await list(path);
    for (const [name, text] of made.texts) files.texts.set(name, text);
    publish(files.texts.get("ca/root.pem")!);
    return before;
  };
  const { bundle } = await open();
  expect(bundle.pem).not.toBe(other.bundle.pem);
  expect(files.texts.get(ROOT)).toBe(whole);
});

describe("a root in the store that is not the one that workloads trust", () => {
  test("is nobody's to sign with", async () => {
    const { bundle } = await open(createMemoryStateFiles());
    await open();
    publish(bundle.pem);
    await expect(open()).rejects.toThrow(/is not the root that workloads trust: ConfigMap cardea-system/);
  });

  test("is no matter where its namespace's owner alone says so, or where what is said is no certificate", async () => {
    const { bundle } = await open(createMemoryStateFiles());
    const first = await open();
    publish(bundle.pem, false);
    publish("tampered with");
    expect((await open()).bundle.pem).toBe(first.bundle.pem);
  });

  test("is one of several that they trust: good", async () => {
    const { bundle } = await open(createMemoryStateFiles());
    const first = await open();
    publish(bundle.pem + first.bundle.pem);
    expect((await open()).bundle.pem).toBe(first.bundle.pem);
  });
});

describe("an authority that runs", () => {
  test("finds its root kept", async () => {
    expect(await (await open()).checkStore()).toBe("kept");
  });

  test.each<[string, (texts: Map<string, string>) => void]>([
    ["gone with all else", (texts) => texts.clear()],
    ["gone", (texts) => texts.delete(ROOT)],
    ["empty", (texts) => texts.set(ROOT, "")],
    ["cut off", (texts) => texts.set(ROOT, texts.get(ROOT)!.slice(0, 200))],
  ])("puts its root back where it is %s; the next one starts with it", async (_what, damage) => {
    const authority = await open();
    publish(authority.bundle.pem);
    damage(files.texts);
    expect(await authority.checkStore()).toBe("restored");
    expect(await authority.checkStore()).toBe("kept");
    expect((await open()).bundle.pem).toBe(authority.bundle.pem);
    expect(JSON.stringify(log.lines)).not.toContain("PRIVATE");
  });

  test("leaves another root where it is: it may be the only copy of somebody's key", async () => {
    const other = createMemoryStateFiles();
    await open(other);
    const authority = await open();
    files.texts.set(ROOT, other.texts.get(ROOT)!);
    const before = new Map(files.texts);
    expect(await authority.checkStore()).toBe("replaced");
    expect(files.texts).toEqual(before);
  });

  test("puts nothing anywhere while the store fails", async () => {
    const authority = await open();
    files.texts.clear();
    files.readPrivate = async () => Promise.reject(new Error("forbidden"));
    await expect(authority.checkStore()).rejects.toThrow("forbidden");
    expect([...files.texts]).toEqual([]);
  });

  test("renews its intermediate while the root is gone: who starts now is refused, and then not any more", async () => {
    const authority = await open();
    files.texts.clear();
    await clock.advance(61 * DAY_MS);
    await authority.signer();
    expect([...files.texts.keys()]).toEqual(["ca/intermediate-with-key.pem"]);
    await expect(open()).rejects.toThrow(/is missing, while intermediate-with-key\.pem is there/);
    await authority.checkStore();
    expect((await open()).bundle.pem).toBe(authority.bundle.pem);
  });
});

test("replicas that come to the end of an intermediate together have one successor, whoever is killed half way", async () => {
  const all = [await open(), await open(), await open()];
  await clock.advance(61 * DAY_MS);
  const first = (await all[0]!.signer()).issuer.certificate.serial;
  for (const each of all.slice(1)) expect((await each.signer()).issuer.certificate.serial).toBe(first);
  // A write that never came: what was there is there, and the next one does it.
  await clock.advance(61 * DAY_MS);
  const write = files.write.bind(files);
  files.write = async () => Promise.reject(new Error("killed"));
  expect((await all[0]!.signer()).issuer.certificate.serial).toBe(first);
  files.write = write;
  const next = (await all[1]!.signer()).issuer.certificate.serial;
  expect(next).not.toBe(first);
  expect((await all[0]!.signer()).issuer.certificate.serial).toBe(next);
});

test("what a clock that was hours ahead has made is good when it is right: the root at once, the intermediate anew", async () => {
  const nowMs = clock.wallMs();
  clock.setWall(nowMs + 7_200_000);
  const authority = await open();
  const ahead = (await authority.signer()).issuer.certificate;
  clock.setWall(nowMs);
  const { issuer, root } = await authority.signer();
  expect(ahead.notBeforeMs).toBeGreaterThan(nowMs);
  expect([issuer, root].every(({ certificate }) => certificate.notBeforeMs <= nowMs)).toBe(true);
});

test("a stranger's intermediate in the store is not taken for a successor", async () => {
  const other = createMemoryStateFiles();
  await open(other);
  const authority = await open();
  await clock.advance(61 * DAY_MS);
  await open(other);
  files.texts.set("ca/intermediate-with-key.pem", other.texts.get("ca/intermediate-with-key.pem")!);
  const { issuer, root } = await authority.signer();
  expect(issuer.certificate.der.toString("base64")).not.toBe(
    (await (await open(other)).signer()).issuer.certificate.der.toString("base64"),
  );
  expect(root.certificate.der.equals((await open()).bundle.roots[0]!.certificate.der)).toBe(true);
});

async function isAway(): Promise<never> {
  throw new Error("the API server is away");
}
