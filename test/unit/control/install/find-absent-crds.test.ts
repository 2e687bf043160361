import { expect, test } from "vitest";
import { servesAdmissionPolicies } from "../../../../src/control/install/find-absent-crds.ts";
import { createMemoryKube } from "../../../support/memory-kube.ts";

test("a server that keeps rules by itself is told from one that does not know of them", async () => {
  const kube = createMemoryKube();
  expect(await servesAdmissionPolicies(kube)).toBe(true);
  kube.fail("list", "kube-absent");
  expect(await servesAdmissionPolicies(kube)).toBe(false);
});

test("whoever may not ask is not taken for a server that does not know", async () => {
  const kube = createMemoryKube();
  kube.fail("list", "kube-forbidden");
  await expect(servesAdmissionPolicies(kube)).rejects.toMatchObject({ code: "kube-forbidden" });
});
