import { headerOf, type RequestTest, requestTestHolds } from "./clause-test.ts";
import type { RequestFacts } from "./facts.ts";
import type { Lookup, Pattern, Subject, TestLanguage } from "./lookup/lookup.ts";
import { patternsOf } from "./lookup/text-patterns.ts";

/** How trees find requests by what is asked of them. A test that is not looked up is asked, and costs only that. */
export const REQUEST_TESTS: TestLanguage<RequestTest, RequestFacts> = {
  holds: requestTestHolds,
  lookupOf: (test) => {
    const known = lookups.get(test);
    if (known !== undefined) return known;
    const made = makeLookup(test);
    lookups.set(test, made);
    return made;
  },
};

/** Trees ask for the same again and again while they are built. */
const lookups = new WeakMap<RequestTest, RequestLookup | null>();

type RequestLookup = Lookup<RequestTest, RequestFacts>;

function makeLookup(test: RequestTest): RequestLookup | null {
  // A claim may be several texts at once, and a user is two: those are asked one by one.
  if (test.of === "template" || test.of === "user" || test.of === "claim") return null;
  const subject = subjectOf(test);
  const texts = patternsOf(test.matcher);
  if (texts === null) return null;
  const patterns = test.of === "path" ? [...texts, ...templatesOf(test.matcher)] : texts;
  return { subject, patterns, isNegated: test.isNegated };
}

type RequestSubject = Subject<RequestFacts>;

const METHOD: RequestSubject = { key: "method", textOf: (request) => request.method };
const PATH: RequestSubject = { key: "path", textOf: (request) => request.path };
const HOST: RequestSubject = { key: "host", textOf: (request) => request.host.toLowerCase() };

function subjectOf(test: Exclude<RequestTest, { readonly of: "template" | "user" | "claim" }>): RequestSubject {
  switch (test.of) {
    case "method":
      return METHOD;
    case "path":
      return PATH;
    case "host":
      return HOST;
    case "header":
      return { key: `header ${test.name}`, textOf: (request) => headerOf(request, test.name) };
  }
}

type PathMatcherOf = Extract<RequestTest, { readonly of: "path" }>["matcher"];

/** A template's place says little of the characters that its wildcards take, so that the template itself is still asked. */
function templatesOf({ templates, isWide }: PathMatcherOf): readonly Pattern<RequestTest>[] {
  return templates.map((template) => ({
    kind: "template",
    text: template.map((part) => (part.kind === "text" ? part.text : part.kind === "one" ? "{*}" : "{**}")).join(""),
    confirm: { of: "template", template, isWide },
  }));
}
