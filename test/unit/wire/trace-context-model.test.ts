import {
  type Arbitrary,
  array,
  assert,
  boolean,
  constant,
  constantFrom,
  integer,
  oneof,
  property,
  string,
  tuple,
} from "fast-check";
import { expect, test } from "vitest";
import { propertyRuns } from "../../support/property-runs.ts";
import { nextSpan, parseTraceparent, type TraceIds, traceThrough } from "../../../src/wire/trace-context.ts";

// Whatever comes, against a model of some lines: which trace goes on, and in which forms.

const OWN_TRACE = "0af7651916cd43dd8448eb211c80319c";
const OWN_SPAN = "b7ad6b7169203331";

const digit = integer({ min: 0, max: 15 }).map((value) => value.toString(16));
const digits = (count: number) => string({ unit: digit, minLength: count, maxLength: count });
const oftenGood = (good: Arbitrary<string>) =>
  oneof(
    { weight: 6, arbitrary: good },
    string(),
    good.map((text) => text.slice(1)),
    good.map((text) => `${text},x`),
  );

const traceparent = tuple(
  constantFrom("00", "00", "01", "ff"),
  digits(32),
  digits(16),
  constantFrom("00", "01", "02", "03", "ff"),
).map((parts) => parts.join("-"));
const b3 = oneof(
  constantFrom("0", "1", "d"),
  tuple(oneof(digits(32), digits(16)), digits(16), constantFrom("", "-0", "-1", "-d", `-1-${"a".repeat(16)}`)).map(
    ([traceId, spanId, rest]) => `${traceId}-${spanId}${rest}`,
  ),
);
const field = oneof(
  tuple(constantFrom("traceparent", "Traceparent"), oftenGood(traceparent)),
  tuple(constant("tracestate"), oftenGood(constantFrom("a=1", "a=1,b=2", "a=1,A=2", ""))),
  tuple(constantFrom("b3", "B3"), oftenGood(b3)),
  tuple(constant("X-B3-TraceId"), oftenGood(oneof(digits(32), digits(16)))),
  tuple(constant("x-b3-spanid"), oftenGood(digits(16))),
  tuple(constant("x-b3-parentspanid"), oftenGood(digits(16))),
  tuple(constant("x-b3-sampled"), oftenGood(constantFrom("0", "1", "true", "false"))),
  tuple(constant("x-b3-flags"), oftenGood(constantFrom("0", "1"))),
  tuple(constantFrom("host", "b4", "x-b3-other", "traceparents"), string()),
);
const fields = array(field, { maxLength: 9 });

interface Expected {
  readonly traceId: string | null;
  readonly parentId: string | null;
  /** Null: it is decided here. */
  readonly isSampled: boolean | null;
}

function expected(received: readonly (readonly [string, string])[]): Expected {
  const all = (name: string) => received.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
  const only = (name: string) => (all(name).length === 1 ? all(name)[0]! : null);
  const parent = parseTraceparent(only("traceparent") ?? "");
  if (parent !== null) return { ...parent, isSampled: parent.flags % 2 === 1 };
  const single = /^(?:([^-]+)-([^-]+))?(?:(?:^|-)([01d])(?:-[0-9a-f]{16})?)?$/i.exec(only("b3") ?? "none");
  if (single !== null) {
    const [whole, traceId, spanId, sampled] = single;
    const said = sampled === undefined ? null : sampled !== "0";
    if (traceId === undefined && said !== null && whole.length === 1)
      return { traceId: null, parentId: null, isSampled: said };
    if (areIds(traceId, spanId)) return { traceId: traceId!.padStart(32, "0"), parentId: spanId!, isSampled: said };
  }
  const debug = only("x-b3-flags") === "1" ? true : null;
  const words: Record<string, boolean> = { "1": true, true: true, "0": false, false: false };
  const said = debug ?? words[only("x-b3-sampled") ?? ""] ?? null;
  const [traceId, spanId] = [only("x-b3-traceid") ?? "", only("x-b3-spanid") ?? ""];
  if (areIds(traceId, spanId)) return { traceId: traceId.padStart(32, "0"), parentId: spanId, isSampled: said };
  const saysIds = all("x-b3-traceid").length + all("x-b3-spanid").length > 0;
  return { traceId: null, parentId: null, isSampled: saysIds ? null : said };
}

function areIds(traceId = "", spanId = ""): boolean {
  return /^(?=.*[1-9a-f])([0-9a-f]{16}){1,2}$/.test(traceId) && /^(?=.*[1-9a-f])[0-9a-f]{16}$/.test(spanId);
}

const formsOf = (names: readonly string[]) => ({
  w3c: names.includes("traceparent"),
  single: names.includes("b3"),
  multi: names.some((name) => /^x-b3-(traceid|spanid|parentspanid|sampled|flags)$/.test(name)),
});

test("what goes on is what the model says, in the forms that came, and each form says the same", () => {
  assert(
    property(fields, boolean(), (received, here) => {
      const ids: TraceIds = { traceId: () => OWN_TRACE, spanId: () => OWN_SPAN, isSampled: () => here };
      const headers = received.flat();
      const trace = traceThrough(headers, ids);
      const model = expected(received);
      expect(trace).toEqual({
        traceId: model.traceId ?? OWN_TRACE,
        spanId: OWN_SPAN,
        parentId: model.parentId,
        isSampled: model.isSampled ?? here,
        decidedBy: model.isSampled === null ? "here" : "caller",
      });
      const names = headers.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
      const came = formsOf(received.map(([name]) => name.toLowerCase()));
      expect(formsOf(names)).toEqual({ ...came, w3c: came.w3c || !(came.single || came.multi) });
      const went = pairs(headers);
      const again: TraceIds = { traceId: () => "none", spanId: () => "none", isSampled: () => !trace.isSampled };
      for (const form of [/^traceparent$/i, /^b3$/i, /^x-b3-/i]) {
        const alone = went.filter(([name]) => form.test(name)).flat();
        if (alone.length === 0 || (form.source === "^x-b3-" && !came.multi)) continue;
        const { traceId, parentId, isSampled, decidedBy } = traceThrough(alone, again);
        expect({ traceId, parentId, isSampled, decidedBy }).toEqual({
          traceId: trace.traceId,
          parentId: OWN_SPAN,
          isSampled: trace.isSampled,
          decidedBy: "caller",
        });
      }
    }),
    { numRuns: propertyRuns(2_000) },
  );
});

test("what is no trace context stays as it was, in its order", () => {
  assert(
    property(fields, (received) => {
      const headers = received.flat();
      traceThrough(headers, { traceId: () => OWN_TRACE, spanId: () => OWN_SPAN, isSampled: () => false });
      expect(pairs(headers).filter(isOther)).toEqual(received.filter(isOther));
    }),
  );
});

test("another try says the same of another span", () => {
  assert(
    property(fields, digits(16), (received, spanId) => {
      const [first, second] = [received.flat(), received.flat()];
      const trace = traceThrough(first, idsOf(OWN_SPAN));
      expect(nextSpan(first, trace, spanId)).toEqual(traceThrough(second, idsOf(spanId)));
      expect(first).toEqual(second);
    }),
  );
});

function pairs(headers: readonly string[]): readonly [string, string][] {
  return headers.flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1]!] as [string, string]] : []));
}

function isOther([name]: readonly [string, string]): boolean {
  return !/^(traceparent|tracestate|b3|x-b3-(?!other).*)$/i.test(name);
}

function idsOf(own: string): TraceIds {
  return { traceId: () => OWN_TRACE, spanId: () => own, isSampled: () => true };
}
