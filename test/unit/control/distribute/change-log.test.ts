import { expect, test } from "vitest";
import { ChangeLog } from "../../../../src/control/distribute/change-log.ts";
import { spiffeIdFor } from "../../../../src/core/spiffe-id.ts";

const web = spiffeIdFor("cluster.local", "shop", "web");

test("what changed since a version is told, once each", () => {
  const log = new ChangeLog();
  log.add(changes(["a"]));
  log.add({ ...changes(["b", "a"]), identities: new Set([web]) });
  expect(namesSince(log, 0)).toEqual(["a", "b"]);
  expect(namesSince(log, 1)).toEqual(["b", "a"]);
  expect(namesSince(log, 2)).toEqual([]);
  expect([...log.since(0)!.identities]).toEqual([web]);
});

test("what something was about between two versions is told with what it is", () => {
  const log = new ChangeLog();
  log.add({ names: new Map([["a", [about("shop")]]]), identities: new Set(), opened: new Set() });
  log.add({ names: new Map([["a", [about("bank")]]]), identities: new Set(), opened: new Set() });
  expect(log.since(0)!.names.get("a")).toEqual([about("shop"), about("bank")]);
});

test("a later change is no part of an earlier answer", () => {
  const log = new ChangeLog();
  log.add(changes(["a"]));
  const before = log.since(0);
  log.add(changes(["b"]));
  expect([...before!.names.keys()]).toEqual(["a"]);
  expect(namesSince(log, 0)).toEqual(["a", "b"]);
});

test("what is too long ago, or never was, is not known", () => {
  const log = new ChangeLog();
  for (let count = 0; count < 70_000; count += 1) log.add(changes([`name-${count}`]));
  expect(log.since(0)).toBeNull();
  expect(log.since(70_001)).toBeNull();
  expect(log.since(Number.NaN)).toBeNull();
  expect(namesSince(log, 69_998)).toEqual(["name-69998", "name-69999"]);
});

function about(namespace: string) {
  return { namespace, isService: true, services: [], spiffeId: null, exportTo: null };
}

function changes(names: readonly string[]) {
  return { names: new Map(names.map((name) => [name, []])), identities: new Set<never>(), opened: new Set<never>() };
}

function namesSince(log: ChangeLog, version: number): readonly string[] {
  return [...log.since(version)!.names.keys()];
}
