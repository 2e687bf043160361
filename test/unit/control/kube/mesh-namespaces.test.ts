import { expect, test } from "vitest";
import { isMeshNamespace, wantsSidecar } from "../../../../src/control/kube/mesh-namespaces.ts";
import type { KubeObject } from "../../../../src/core/kube.ts";

test("what asks Istio or Linkerd alone is theirs: the API server does not ask us about it", () => {
  const labels = { "istio-injection": "enabled", "istio.io/rev": "stable" };
  const annotations = { "linkerd.io/inject": "enabled" };
  for (const theirs of [{ labels }, { annotations }, { labels, annotations }])
    expect(isMeshNamespace(namespaceOf(theirs)), JSON.stringify(theirs)).toBe(false);
  expect(wantsSidecar({ labels: { "sidecar.istio.io/inject": "true" }, annotations: {} }, namespaceOf({}))).toBe(false);
  const asked = { ...labels, "cardea.dev/inject": "enabled" };
  expect(isMeshNamespace(namespaceOf({ labels: asked }))).toBe(true);
  expect(isMeshNamespace(namespaceOf({ labels: { "cardea.dev/rev": "canary" } }))).toBe(true);
});

function namespaceOf(metadata: object): KubeObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop", ...metadata } };
}
