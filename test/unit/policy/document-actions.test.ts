import { expect, test } from "vitest";
import { type Fault, formatFault, locatePlain } from "../../../src/core/located.ts";
import { type AuthorizationPolicy, parseAuthorizationPolicy } from "../../../src/policy/document.ts";

// What a policy's action goes together with: rules, a provider, a dry run, the terms of a grant.

type Annotations = Readonly<Record<string, string>>;

function read(spec: object, annotations: Annotations = {}): AuthorizationPolicy | string {
  const faults: Fault[] = [];
  const metadata = { name: "p", namespace: "shop", annotations };
  const document = { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec };
  const policy = parseAuthorizationPolicy(locatePlain(document), { file: "p.yaml" }, faults);
  if (policy !== null && faults.length === 0) return policy;
  expect(policy, "nothing is read of what has a fault").toBeNull();
  return faults.map(formatFault).join("\n");
}

const RULES = { rules: [{}] };
const CUSTOM = { action: "CUSTOM", provider: { name: "opa" } };
const DRY_RUN = { "istio.io/dry-run": "true" };
const FROM = { "cardea.dev/valid-from": "2026-01-01T00:00:00Z" };
const UNTIL = { "cardea.dev/expires": "2026-01-01T01:00:00Z" };
const TICKET = { "cardea.dev/ticket": "INC-7" };
const GLASS = { ...FROM, ...UNTIL, ...TICKET, "cardea.dev/requested-by": "ada", "cardea.dev/break-glass": "true" };

const GRANTS = "metadata.annotations: a policy that begins, ends or breaks the glass grants: its action is ALLOW, not ";
const OPENS = " policy would let in whom nobody let in";

test.each<readonly [object, Annotations, string]>([
  [{ action: "DENY" }, {}, "p.yaml: spec: a DENY policy without rules never matches; `rules: [{}]` denies everything"],
  [
    CUSTOM,
    {},
    "spec: a CUSTOM policy without rules never matches; `rules: [{}]` has the provider asked about everything",
  ],
  [{ ...RULES, action: "CUSTOM" }, {}, "spec.provider: is required by the action CUSTOM"],
  [{ ...RULES, provider: { name: "opa" } }, {}, "spec.provider: is for CUSTOM alone, not for ALLOW"],
  [{ ...RULES, ...CUSTOM, action: "DENY" }, {}, "spec.provider: is for CUSTOM alone, not for DENY"],
  [
    { ...RULES, action: "AUDIT" },
    DRY_RUN,
    'metadata.annotations["istio.io/dry-run"]: is for ALLOW and DENY: an AUDIT policy decides nothing, so a dry run of it would tell nothing',
  ],
  [
    { ...RULES, ...CUSTOM },
    DRY_RUN,
    'metadata.annotations["istio.io/dry-run"]: is for ALLOW and DENY: what a server outside would say is not known without asking it',
  ],
  [{ ...RULES, action: "DENY" }, FROM, `${GRANTS}DENY. The end of a DENY${OPENS}`],
  [{ ...RULES, action: "DENY" }, UNTIL, `${GRANTS}DENY. The end of a DENY${OPENS}`],
  [{ ...RULES, action: "DENY" }, { ...FROM, ...UNTIL }, `${GRANTS}DENY.`],
  [{ ...RULES, action: "DENY" }, GLASS, `${GRANTS}DENY.`],
  [{ ...RULES, action: "AUDIT" }, UNTIL, `${GRANTS}AUDIT. The end of a AUDIT${OPENS}`],
  [{ ...RULES, ...CUSTOM }, UNTIL, `${GRANTS}CUSTOM. The end of a CUSTOM${OPENS}`],
])("refused: %o with %o", (spec, annotations, message) => {
  expect(read(spec, annotations)).toContain(message);
});

test.each<readonly [object, Annotations, object]>([
  [{}, {}, { action: "ALLOW", provider: null, isDryRun: false, terms: null, rules: [] }],
  [{ ...RULES, ...CUSTOM }, {}, { action: "CUSTOM", provider: "opa", isDryRun: false, terms: null }],
  [{ ...RULES, action: "DENY" }, DRY_RUN, { action: "DENY", isDryRun: true, provider: null }],
  [{ action: "AUDIT" }, {}, { action: "AUDIT", isDryRun: false, rules: [] }],
  [RULES, DRY_RUN, { action: "ALLOW", isDryRun: true }],
  [RULES, FROM, { terms: { fromMs: Date.UTC(2026, 0, 1), untilMs: null, ticket: null, isBreakGlass: false } }],
  [RULES, GLASS, { terms: { untilMs: Date.UTC(2026, 0, 1, 1), ticket: "INC-7", isBreakGlass: true } }],
  // Who asked for a denial, and by what, may be said: it takes no part in what the policy does.
  [{ ...RULES, action: "DENY" }, TICKET, { action: "DENY", terms: { ticket: "INC-7", fromMs: null, untilMs: null } }],
])("read: %o with %o", (spec, annotations, wanted) => {
  expect(read(spec, annotations)).toMatchObject({ id: "shop/p", ...wanted });
});
