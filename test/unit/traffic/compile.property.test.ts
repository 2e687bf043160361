import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { locatePlain } from "../../../src/core/located.ts";
import { compileTraffic } from "../../../src/traffic/compile.ts";
import { parseTrafficDocument, type TrafficDocument } from "../../../src/traffic/document.ts";
import { corpusPath } from "../../support/corpus.ts";
import { documentsOf, documentText, WEB } from "./traffic-documents.ts";

const host = fc.constantFrom("orders", "ledger", "*", "*.shop.svc.cluster.local", "orders.shop.svc.cluster.local");
const simple = fc.constantFrom("ROUND_ROBIN", "RANDOM", "LEAST_REQUEST");
const id = fc.tuple(fc.constantFrom("shop", "pay", "cardea-system"), fc.stringMatching(/^[a-z]{1,4}$/));
const rule = fc.tuple(id, host, simple).map(([[namespace, name], of, lb]) =>
  documentText("DestinationRule", `${namespace}/${name}`, {
    host: of,
    trafficPolicy: { loadBalancer: { simple: lb } },
  }),
);
const uris = fc.constantFrom({ prefix: "/" }, { exact: "/a" }, { regex: "/v[0-9]+/.*" });
const virtual = fc.tuple(id, host, uris, fc.nat(9)).map(([[namespace, name], of, uri, weight]) =>
  documentText("VirtualService", `${namespace}/${name}`, {
    hosts: [of],
    http: [
      {
        match: [{ uri }],
        route: [{ destination: { host: "orders" }, weight: weight + 1 }, { destination: { host: "ledger" } }],
      },
    ],
  }),
);
const texts = fc.uniqueArray(fc.oneof(rule, virtual), { maxLength: 12, selector: keyOf });

test("what was read once reads the same from its raw form", () => {
  fc.assert(
    fc.property(texts, (some) => {
      const first = documentsOf(...some);
      const again = first.map((document) => {
        const read = parseTrafficDocument(document.kind, locatePlain(document.raw), { file: document.source.file }, []);
        return { ...read, source: document.source };
      });
      expect(comparable(again)).toEqual(comparable(first));
    }),
  );
});

test("the order of the documents does not matter, and what did not change is taken over as it is", () => {
  fc.assert(
    fc.property(texts, (some) => {
      const documents = documentsOf(...some);
      const options = { revision: "r", client: WEB, rootNamespace: "cardea-system" };
      const first = compileTraffic(documents, options);
      const reversed = compileTraffic(documents.toReversed(), { ...options, previous: first });
      expect(new Set(reversed.set.byService.keys())).toEqual(new Set(first.set.byService.keys()));
      for (const [name, traffic] of reversed.set.byService) expect(traffic).toBe(first.set.byService.get(name));
      for (const [suffix, traffic] of reversed.set.bySuffix) expect(traffic).toBe(first.set.bySuffix.get(suffix));
    }),
  );
});

describe.skipIf(corpusPath("online-boutique") === null)("documents of others", () => {
  test("are read, or refused by the name of what is not supported", () => {
    const directory = join(corpusPath("online-boutique")!, "istio-manifests");
    const files = readdirSync(directory).map((path) => ({ path, text: readFileSync(join(directory, path), "utf8") }));
    const found = files.map((file) => [file.path, parsePolicyFiles([file])] as const);
    const read = found.flatMap(([, { traffic }]) => traffic.map(({ kind, id: name }) => `${kind} ${name}`));
    expect(read).toEqual(["VirtualService default/frontend"]);
    for (const [, { faults }] of found)
      for (const { message } of faults) expect(message).toMatch(/is not yet supported|only `mesh`/);
  });
});

function keyOf(text: string): string {
  const { kind, metadata } = JSON.parse(text) as { kind: string; metadata: { name: string; namespace: string } };
  return `${kind} ${metadata.namespace}/${metadata.name}`;
}

/** Compiled regular expressions are functions, and no two of them are equal. */
function comparable(documents: readonly Partial<TrafficDocument>[]): unknown {
  return JSON.parse(
    JSON.stringify(documents, (_, value: unknown) =>
      value instanceof Map || value instanceof Set ? [...value] : value,
    ),
  );
}
