import { describe, expect, it } from "vitest";
import { parseTrustDomain } from "../../../../src/core/spiffe-id.ts";
import { type Authority, openAuthority } from "../../../../src/control/ca/authority.ts";
import { createSeededRandom, createSimulatedClock } from "../../../support/simulated-clock.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createMemoryStateFiles, type MemoryStateFiles } from "../../../support/memory-state-files.ts";

const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2026, 0, 1);

function setUp(files: MemoryStateFiles = createMemoryStateFiles(), startMs = START_MS) {
  const clock = createSimulatedClock(startMs);
  const log = createKeptLog();
  const open = (trustDomain = "cluster.local"): Promise<Authority> =>
    openAuthority({
      files,
      trustDomain: parseTrustDomain(trustDomain),
      clock,
      random: createSeededRandom(1),
      logger: log,
    });
  return { files, clock, log, open };
}

describe("an authority", () => {
  it("is made once and is the same after a restart", async () => {
    const mesh = setUp();
    const first = await mesh.open();
    const again = await setUp(mesh.files).open();
    expect(again.bundle.pem).toBe(first.bundle.pem);
    expect((await again.signer()).issuer.certificate.der).toEqual((await first.signer()).issuer.certificate.der);
    expect(mesh.log.events()).toEqual(["ca-root-created", "ca-intermediate-created"]);
  });

  it("writes a public root without a key for sidecars to pin", async () => {
    const mesh = setUp();
    const authority = await mesh.open();
    expect(mesh.files.texts.get("ca/root.pem")).toBe(authority.bundle.pem);
    expect(authority.bundle.pem).not.toContain("PRIVATE");
  });

  it("writes the public root again when somebody changed it", async () => {
    const mesh = setUp();
    const { bundle } = await mesh.open();
    mesh.files.texts.set("ca/root.pem", "something else");
    await mesh.open();
    expect(mesh.files.texts.get("ca/root.pem")).toBe(bundle.pem);
  });

  it("is the first one's when two processes make it at once", async () => {
    const mesh = setUp();
    const [one, two] = await Promise.all([mesh.open(), mesh.open()]);
    expect(one.bundle.pem).toBe(two.bundle.pem);
  });

  it("makes a new intermediate when the old one is gone, and one in time before it ends", async () => {
    const mesh = setUp();
    const first = await (await mesh.open()).signer();
    mesh.files.texts.delete("ca/intermediate-with-key.pem");
    const authority = await mesh.open();
    const second = await authority.signer();
    expect(second.issuer.certificate.serial).not.toBe(first.issuer.certificate.serial);
    await mesh.clock.advance(59 * DAY_MS);
    expect((await authority.signer()).issuer.certificate.serial).toBe(second.issuer.certificate.serial);
    await mesh.clock.advance(2 * DAY_MS);
    const [third, sameThird] = await Promise.all([authority.signer(), authority.signer()]);
    expect(third.issuer.certificate.serial).not.toBe(second.issuer.certificate.serial);
    expect(sameThird.issuer.certificate.serial).toBe(third.issuer.certificate.serial);
  });

  it("goes on with the old intermediate while the disk is full, and ends with it", async () => {
    const mesh = setUp();
    const authority = await mesh.open();
    const first = await authority.signer();
    mesh.files.write = async () => Promise.reject(new Error("no space is left"));
    await mesh.clock.advance(80 * DAY_MS);
    expect((await authority.signer()).issuer.certificate.serial).toBe(first.issuer.certificate.serial);
    expect(mesh.log.events()).toContain("ca-intermediate-kept");
    await mesh.clock.advance(11 * DAY_MS);
    await expect(authority.signer()).rejects.toThrow("no space is left");
  });
});

describe("an authority refuses, with the way out,", () => {
  const WAY_OUT = /remove the directory \/state\/ca to begin with a new root/;

  const whole = "ca/root-with-key.pem";
  it.each<[string, (texts: Map<string, string>) => void]>([
    ["a root that is gone while what it signed is there", (texts) => texts.delete(whole)],
    ["an empty root file", (texts) => texts.set(whole, "")],
    ["a root file that is cut off", (texts) => texts.set(whole, texts.get(whole)!.slice(0, -60))],
    ["a root without its key", (texts) => texts.set(whole, texts.get("ca/root.pem")!)],
    [
      "a root with another key",
      (texts) => texts.set(whole, texts.get("ca/root.pem")! + keyOf(texts.get("ca/intermediate-with-key.pem")!)),
    ],
    ["the intermediate in the root's place", (texts) => texts.set(whole, texts.get("ca/intermediate-with-key.pem")!)],
  ])("%s", async (_what, damage) => {
    const mesh = await damaged(damage);
    const before = new Map(mesh.files.texts);
    await expect(mesh.open()).rejects.toMatchObject({ code: "bad-input", message: expect.stringMatching(WAY_OUT) });
    // Nothing was made anew, nothing overwritten.
    expect(mesh.files.texts).toEqual(before);
  });

  it("the state of another trust domain", async () => {
    const mesh = await damaged(() => undefined);
    await expect(mesh.open("other.example")).rejects.toThrow(
      /spiffe:\/\/cluster\.local, the mesh is spiffe:\/\/other\.example/,
    );
  });

  it("a root that has ended, at the start and while running", async () => {
    const mesh = setUp();
    const authority = await mesh.open();
    await mesh.clock.advance(3_651 * DAY_MS);
    await expect(authority.signer()).rejects.toThrow(WAY_OUT);
    await expect(mesh.open()).rejects.toThrow(/has ended on 2035/);
  });

  it("an intermediate that another root signed; its way out is another one", async () => {
    const other = setUp();
    await other.open();
    const mesh = await damaged((texts) =>
      texts.set("ca/intermediate-with-key.pem", other.files.texts.get("ca/intermediate-with-key.pem")!),
    );
    await expect(mesh.open()).rejects.toThrow(/the root did not sign it\. Remove it: a new one will be made/);
  });
});

async function damaged(damage: (texts: Map<string, string>) => void) {
  const mesh = setUp();
  await mesh.open();
  damage(mesh.files.texts);
  return mesh;
}

function keyOf(text: string): string {
  return text.slice(text.indexOf("-----BEGIN PRIVATE KEY"));
}
