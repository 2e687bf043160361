import { expect, test } from "vitest";
import { judgeAudit } from "../../support/dependency-audit.ts";
import { readProjectFile } from "./project-files.ts";

const ADVISORY = { title: "Prototype pollution", url: "https://example.org/GHSA-1" };

function report(vulnerabilities: object): string {
  return JSON.stringify({ auditReportVersion: 2, vulnerabilities, metadata: { dependencies: { total: 40 } } });
}

test("a report with nothing in it is clean", () => {
  expect(judgeAudit(report({}))).toEqual({ at: "clean", packages: 40 });
});

test("a vulnerability is told by package, versions and advisory, and by what it came with", () => {
  const found = judgeAudit(
    report({
      leaf: { severity: "low", range: "<1.2.3", via: [ADVISORY] },
      user: { severity: "low", range: "*", via: ["leaf"] },
    }),
  );
  expect(found).toEqual({
    at: "found",
    advisories: ["leaf <1.2.3: low: Prototype pollution (https://example.org/GHSA-1)", "user *: low: by leaf"],
  });
});

test.each([
  ["nothing", "", /no report/],
  ["what is no JSON", "npm error code E405", /no report/],
  ["a list", "[]", /something else/],
  ["another version", '{"auditReportVersion":1,"vulnerabilities":{}}', /something else/],
  ["a report without its list", '{"auditReportVersion":2}', /something else/],
  ["a registry that was not reached", '{"message":"connect ECONNREFUSED","error":{}}', /ECONNREFUSED/],
])("%s is no answer, and never a clean one", (_what, printed, why) => {
  expect(judgeAudit(printed)).toEqual({ at: "unasked", why: expect.stringMatching(why) as string });
});

test("every check asks", () => {
  const { scripts } = JSON.parse(readProjectFile("package.json")) as { scripts: Record<string, string> };
  expect(scripts["check"]).toMatch(/&& npm run -s audit$/);
  expect(scripts["audit"]).toBe("exec node test/support/audit.ts");
});
