import { execFile } from "node:child_process";
import { judgeAudit } from "./dependency-audit.ts";

// The last step of `npm run check`: asks the registry about known vulnerabilities in what we ship, as locked. One fails
// the check. A registry that is not reached, or has no such answers, does not: that is said, and nothing more is known.

const TIMEOUT_MS = 30_000;

const printed = await new Promise<string>((resolve) => {
  const words = ["audit", "--omit=dev", "--package-lock-only", "--json"];
  execFile("npm", words, { timeout: TIMEOUT_MS, maxBuffer: 2 ** 26 }, (_error, stdout) => resolve(stdout));
});
const verdict = judgeAudit(printed);
switch (verdict.at) {
  case "clean":
    say(`audit: the registry knows of no vulnerability in the ${verdict.packages} packages that we ship`);
    break;
  case "found":
    for (const advisory of verdict.advisories) say(`audit: ${advisory}`);
    process.exitCode = 1;
    break;
  case "unasked":
    say(`audit: not done, the registry gave no answer: ${verdict.why}`);
    break;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
