import { beforeEach, describe, expect, test } from "vitest";
import { loadMeshApi } from "../../../../src/api/load.ts";
import type { RevisionFile } from "../../../../src/config/revision-file.ts";
import { openPolicyStore, type PolicyStore } from "../../../../src/control/distribute/policy-store.ts";
import { CardeaError } from "../../../../src/core/errors.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import type { Fault } from "../../../../src/core/located.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../../src/policy/mesh-settings.ts";
import { createKeptLog, type KeptLog } from "../../../support/kept-log.ts";
import { policy } from "../control-fixture.ts";

const GOOD = policy("a", "{}");
const OTHER = policy("b", "{rules: [{}]}");
const BAD = "a: [";

let files: Map<string, string>;
let unreadable: Fault[];
let reading: Error | null;
let change: () => void;
let saved: RevisionFile[];
let archive: { save: (file: RevisionFile) => Promise<void>; newest: () => Promise<RevisionFile | null> };
let log: KeptLog;
beforeEach(() => {
  files = new Map([["a.yaml", GOOD]]);
  [unreadable, reading, saved] = [[], null, []];
  archive = {
    save: async (file) => void saved.push(file),
    newest: async () => saved.at(-1) ?? null,
  };
  log = createKeptLog();
});

test("a good set is saved, then in force", async () => {
  archive.save = async (file) => {
    expect(log.events()).not.toContain("policies-in-force");
    saved.push(file);
  };
  const { content } = await open();
  const { revision, documents } = content.get()!;
  expect(documents.map(({ id }) => id)).toEqual(["shop/a"]);
  expect(saved).toEqual([{ revision, settings: DEFAULT_MESH_SETTINGS, files: [{ path: "a.yaml", text: GOOD }] }]);
  expect(log.events()).toContain("policies-in-force");
});

test("the same texts are no new revision, however often they are read", async () => {
  const { content } = await open();
  const before = content.get();
  await changed();
  expect(content.get()).toBe(before);
  expect(saved).toHaveLength(1);
});

test("a disk that takes no revision does not keep it from force", async () => {
  archive.save = () => Promise.reject(new CardeaError("bad-input", "no space is left"));
  const { content } = await open();
  expect(content.get()?.documents).toHaveLength(1);
  expect(log.lines).toContainEqual(expect.objectContaining({ event: "revision-not-saved", level: "error" }));
});

describe("a set is refused whole and the old one stays when", () => {
  test.each([
    ["one of two files is bad", () => files.set("b.yaml", BAD)],
    [
      "a document is of a kind that is not read yet",
      () => files.set("b.yaml", GOOD.replace("AuthorizationPolicy", "Gateway")),
    ],
    [
      "a file cannot be read",
      () => unreadable.push({ file: "b.yaml", line: null, column: null, field: "", message: "x" }),
    ],
    ["reading fails in an unforeseen way", () => (reading = new Error("boom"))],
  ])("%s", async (_name, spoil) => {
    const { content, faults } = await open();
    const before = content.get();
    files.set("good.yaml", OTHER);
    spoil();
    await changed();
    expect(content.get()).toBe(before);
    expect(faults.get().length).toBeGreaterThan(0);
    expect(log.events()).toContain("policies-refused");
  });
});

test("faults are logged once, kept up to a bound, and gone when the files are good", async () => {
  const { faults } = await open();
  files.set("b.yaml", Array.from({ length: LIMITS.policyFaultsKept + 50 }, () => "kind: X").join("\n---\n"));
  await changed();
  await changed();
  expect(faults.get()).toHaveLength(LIMITS.policyFaultsKept);
  expect(log.events().filter((event) => event === "policies-refused")).toHaveLength(LIMITS.policyFaultsKept);
  files.set("b.yaml", OTHER);
  await changed();
  expect(faults.get()).toEqual([]);
});

describe("a start with faulty files", () => {
  test("goes on with the last revision that was in force", async () => {
    const first = await open();
    files.set("a.yaml", BAD);
    const second = await open();
    expect(second.content.get()?.revision).toBe(first.content.get()?.revision);
    expect(second.faults.get()).toHaveLength(1);
    expect(log.events()).toContain("policies-restored");
  });

  test("then takes the files when they are good", async () => {
    await open();
    files.set("a.yaml", BAD);
    const { content } = await open();
    files.set("a.yaml", OTHER);
    await changed();
    expect(content.get()?.documents.map(({ id }) => id)).toEqual(["shop/b"]);
  });

  test.each([
    ["has nothing when there is no earlier revision", async () => null],
    ["has nothing when the earlier one is faulty itself", async () => revisionFile(BAD)],
    ["has nothing when the archive cannot be read", () => Promise.reject(new CardeaError("bad-input", "damaged"))],
  ])("%s", async (_name, newest) => {
    files.set("a.yaml", BAD);
    archive.newest = newest;
    const { content, faults } = await open();
    expect(content.get()).toBeNull();
    expect(faults.get()).toHaveLength(1);
  });
});

function revisionFile(text: string): RevisionFile {
  return { revision: "x", settings: DEFAULT_MESH_SETTINGS, files: [{ path: "a.yaml", text }] };
}

function open(): Promise<PolicyStore> {
  const source = {
    path: "policies",
    async read() {
      if (reading !== null) throw reading;
      return { files: [...files].map(([path, text]) => ({ path, text })), faults: unreadable };
    },
    watch(onChange: () => void) {
      change = onChange;
      return { close: () => undefined };
    },
  };
  return openPolicyStore({ source, archive, settings: DEFAULT_MESH_SETTINGS, api: loadMeshApi(), logger: log });
}

async function changed(): Promise<void> {
  change();
  await new Promise((resolve) => setImmediate(resolve));
}
