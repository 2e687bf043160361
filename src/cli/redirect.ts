import { BACKENDS, type BackendName } from "../control/redirect/backend.ts";
import { planCleanup, planRedirect, type RedirectPlan } from "../control/redirect/plan.ts";
import { runPlan } from "../control/redirect/run-plan.ts";
import { parseRedirectSettings, REDIRECT_OPTIONS } from "../control/redirect/settings.ts";
import { formatStep, type RedirectHost } from "../control/redirect/step.ts";
import { CardeaError } from "../core/errors.ts";
import { readTextIfPresent } from "../io/files.ts";
import { runProgram } from "../io/run-program.ts";
import type { Command, ExitCode, ParsedArgs, Terminal } from "./command.ts";

/** What the init container of a pod runs: it captures the pod's TCP for the sidecar, and ends. */
export const command: Command = {
  name: "redirect",
  summary: "capture a pod's TCP for its sidecar: nftables or iptables, IPv4 and IPv6",
  usage: "cardea redirect [--clean] [--dry-run] [--backend NAME] [--json] [settings]",
  example: "cardea redirect --dry-run --backend nft --exclude-outbound-ports 3306",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "clean", value: null, summary: "take the rules away, whatever loaded them" },
    { name: "dry-run", value: null, summary: "print what would be run, and run nothing" },
    { name: "backend", value: "NAME", summary: `auto, or one of ${BACKENDS.join(", ")}`, default: "auto" },
    { name: "json", value: null, summary: "one JSON object a step" },
    ...REDIRECT_OPTIONS.map((option) => {
      const fallback = "default" in option && option.default !== "" ? `, by default ${option.default}` : "";
      return { name: option.name, value: option.value, summary: `${option.summary} (${option.variable}${fallback})` };
    }),
  ],
  run: runRedirect,
};

async function runRedirect(args: ParsedArgs, terminal: Terminal): Promise<ExitCode> {
  const settings = parseRedirectSettings((name) => args.flag(name), terminal.env);
  const backend = parseBackend(args.flag("backend")!);
  const isDryRun = args.isSet("dry-run");
  const host = createHost(terminal);
  const plan = args.isSet("clean")
    ? await planCleanup(host)
    : await planRedirect({ host, settings, backend, isDryRun });
  if (!isDryRun) await runPlan(plan, host);
  if (args.isSet("json")) showJson(plan, isDryRun, terminal);
  else showText(plan, isDryRun, terminal);
  return 0;
}

function parseBackend(text: string): BackendName | "auto" {
  const name = text === "auto" ? text : BACKENDS.find((each) => each === text);
  if (name !== undefined) return name;
  throw new CardeaError("bad-input", `--backend: expected auto, ${BACKENDS.join(", ")}, found ${JSON.stringify(text)}`);
}

/** Longer than iptables waits for its lock. */
const PROGRAM_TIMEOUT_MS = 30_000;
/** Where they are kept apart from other users' programs, root's own PATH leaves them out at times. */
const SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function createHost({ env }: Terminal): RedirectHost {
  const own: Record<string, string> = { PATH: SEARCH_PATH, LC_ALL: "C" };
  // Where the file system may not be written to, the lock of the old iptables has to be elsewhere.
  if (env["XTABLES_LOCKFILE"] !== undefined) own["XTABLES_LOCKFILE"] = env["XTABLES_LOCKFILE"];
  return {
    run: (step) => runProgram({ ...step, env: own, timeoutMs: PROGRAM_TIMEOUT_MS }),
    read: (path) => readTextIfPresent(path),
  };
}

function showJson({ backend, steps }: RedirectPlan, isDryRun: boolean, terminal: Terminal): void {
  for (const { program, args, input } of steps)
    terminal.stdout(JSON.stringify({ backend, program, args, input, ran: !isDryRun }));
}

function showText(plan: RedirectPlan, isDryRun: boolean, terminal: Terminal): void {
  if (isDryRun) for (const each of plan.steps) terminal.stdout(formatStep(each));
  else terminal.stderr(describe(plan));
}

function describe({ backend, steps }: RedirectPlan): string {
  if (backend !== null) return `TCP is captured, by ${backend}`;
  return steps.length === 0 ? "there was nothing to take away" : "TCP is captured no more";
}
