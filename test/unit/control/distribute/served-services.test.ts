import { beforeEach, describe, expect, test } from "vitest";
import type { About } from "../../../../src/control/distribute/about.ts";
import { ServedServices } from "../../../../src/control/distribute/served-services.ts";

let served: ServedServices;
beforeEach(() => {
  served = new ServedServices();
});

test("the first workload opens its services", () => {
  served.note(null, workload("shop/a", "shop/b"));
  expect(served.takeOpened()).toEqual(new Set(["shop/a", "shop/b"]));
});

test("one that comes back after the last has gone opens it again", () => {
  served.note(null, workload("shop/a"));
  served.takeOpened();
  served.note(workload("shop/a"), null);
  expect(served.takeOpened()).toEqual(new Set());
  served.note(null, workload("shop/a"));
  expect(served.takeOpened()).toEqual(new Set(["shop/a"]));
});

test("a workload opens a service that it begins to serve", () => {
  served.note(null, workload("shop/a"));
  served.takeOpened();
  served.note(workload("shop/a"), workload("shop/a", "shop/b"));
  expect(served.takeOpened()).toEqual(new Set(["shop/b"]));
});

describe("nothing is opened", () => {
  beforeEach(() => {
    served.note(null, workload("shop/a"));
    served.takeOpened();
  });

  test.each<[string, About | null, About | null]>([
    ["by a second workload", null, workload("shop/a")],
    ["by a workload that serves nothing", null, workload()],
    ["by a service itself", null, { ...workload("shop/b"), isService: true }],
    ["by a workload that goes", workload("shop/a"), null],
    ["by one that changes otherwise", workload("shop/a"), workload("shop/a")],
  ])("%s", (_name, was, is) => {
    served.note(was, is);
    expect(served.takeOpened()).toEqual(new Set());
  });

  test("by one that takes another's place in the same moment, whichever is told first", () => {
    served.note(workload("shop/a"), null);
    served.note(null, workload("shop/a"));
    expect(served.takeOpened()).toEqual(new Set());
  });

  test("by one that came and went in the same moment", () => {
    served.note(null, workload("shop/b"));
    served.note(workload("shop/b"), null);
    expect(served.takeOpened()).toEqual(new Set());
  });
});

function workload(...services: readonly string[]): About {
  return { namespace: "shop", isService: false, services, spiffeId: null, exportTo: null };
}
