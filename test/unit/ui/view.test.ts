import { expect, test } from "vitest";
import { FIRST_VIEW, readView, type View, writeView } from "../../../src/ui/state.ts";

test.each<View>([
  FIRST_VIEW,
  { ...FIRST_VIEW, tab: "readiness", windowMs: 86_400_000, endMs: 1_795_000_000_000 },
  { ...FIRST_VIEW, selection: { at: "tie", from: "/no identity", to: "shop/a&b=c#d" } },
  { ...FIRST_VIEW, selection: { at: "node", id: "shop/web" } },
  { ...FIRST_VIEW, selection: { at: "flow", id: "9f1c2a7be03d4455" } },
])("the address keeps a view: %j", (view) => {
  expect(readView(`#${writeView(view)}`)).toEqual(view);
});

test.each([
  "#tab=admin",
  "#flow=../../etc/passwd",
  "#flow=<script>",
  "#window=1",
  "#window=-900",
  "#until=yesterday",
  "#until=99999999999999999999",
  "#from=shop/web",
  "#%",
])("of an address that says nothing of use the first view is shown: %s", (hash) => {
  expect(readView(hash)).toEqual(FIRST_VIEW);
});
