import { CardeaError, toCardeaError } from "../core/errors.ts";
import { systemClock } from "../io/clock.ts";
import { readText } from "../io/files.ts";
import { callHttp } from "../io/http-client.ts";
import { parseCertificatesPem } from "../pki/pem.ts";
import type { Command, ExitCode, Terminal } from "./command.ts";
import { paint, visibleText } from "./flow-text.ts";
import { type RunningService, readJoinedServices, readRunFile } from "./run-file.ts";
import { findStateDirectory, type StatePaths } from "./state-dir.ts";
import { CERTS_PATH } from "./sidecar-paths.ts";
import { readSvidFacts, type SvidFacts } from "./svid-facts.ts";

/** Whose certificates these are, how long they last, and what is wrong with them. */
export const command: Command = {
  name: "svid show",
  summary: "show identities: those of the running mesh's sidecars, or the certificates of a file",
  usage: "cardea svid show [FILE] [--state DIR] [--json]",
  example: "cardea svid show",
  positional: { min: 0, max: 1 },
  flags: [
    { name: "state", value: "DIR", summary: "state directory of the mesh" },
    { name: "json", value: null, summary: "one JSON object a certificate" },
  ],
  async run(args, terminal) {
    const [file] = args.positional;
    const show = args.isSet("json") ? showJson : showText;
    if (file !== undefined) return showAll(await readFile(file), terminal, show);
    return showMesh(await findStateDirectory(args.flag("state"), terminal), terminal, show);
  },
};

const CALL_TIMEOUT_MS = 2_000;

type Show = (facts: SvidFacts, terminal: Terminal) => void;

async function readFile(file: string): Promise<readonly SvidFacts[]> {
  const text = await readText(file);
  try {
    return readChain(file, text);
  } catch (error) {
    throw new CardeaError("bad-input", `${file}: ${toCardeaError(error).message}`, error);
  }
}

function readChain(source: string, pem: string): readonly SvidFacts[] {
  return parseCertificatesPem(pem).map((der) => readSvidFacts(source, der, systemClock.wallMs()));
}

function showAll(certificates: readonly SvidFacts[], terminal: Terminal, show: Show): ExitCode {
  for (const facts of certificates) show(facts, terminal);
  return certificates.some((facts) => facts.problem !== null) ? 1 : 0;
}

/** Every sidecar is asked; one that does not answer hides none of the others. */
async function showMesh(paths: StatePaths, terminal: Terminal, show: Show): Promise<ExitCode> {
  const run = await readRunFile(paths);
  if (run === null || run.up === null)
    throw new CardeaError("unreachable", `no mesh runs in ${paths.directory}; start it: cardea up`);
  const services = [...run.services, ...(await readJoinedServices(paths))];
  const answers = await Promise.allSettled(services.map(readSidecar));
  const codes = answers.map((answer): ExitCode => {
    if (answer.status === "fulfilled") return showAll(answer.value, terminal, show);
    const error = toCardeaError(answer.reason);
    terminal.stderr(error.message);
    return error.code === "unreachable" ? 3 : 1;
  });
  return codes.reduce<ExitCode>((worst, code) => (code > worst ? code : worst), 0);
}

/** The sidecar's own certificate; the authorities above it are the same for all. */
async function readSidecar(service: RunningService): Promise<readonly SvidFacts[]> {
  const source = `${service.name}.${service.namespace}`;
  const { status, body } = await askSidecar(source, service);
  if (status !== 200) throw new CardeaError("identity-not-ready", `${source}: the sidecar holds no certificate now`);
  return readChain(source, body).slice(0, 1);
}

async function askSidecar(source: string, service: RunningService): Promise<{ status: number; body: string }> {
  try {
    return await callHttp(service.admin, { path: CERTS_PATH, timeoutMs: CALL_TIMEOUT_MS });
  } catch (error) {
    throw new CardeaError(
      "unreachable",
      `${source}: the sidecar does not answer: ${toCardeaError(error).message}`,
      error,
    );
  }
}

function showJson(facts: SvidFacts, terminal: Terminal): void {
  terminal.stdout(JSON.stringify(facts));
}

function showText(facts: SvidFacts, terminal: Terminal): void {
  const name = facts.spiffeId ?? "(no SPIFFE ID)";
  const title = facts.role === "authority" ? `${name} (authority)` : name;
  const rows: readonly (readonly [string, string])[] = [
    ["source", facts.source],
    ["valid", `${facts.notBefore} to ${facts.notAfter}, ${describeTimeLeft(facts.secondsLeft)}`],
    ["serial", facts.serial],
    ["issuer", facts.issuer],
    ["key", facts.key],
    ["sha256", facts.sha256],
  ];
  terminal.stdout(visibleText(title));
  for (const [label, text] of rows) terminal.stdout(`  ${label.padEnd(8)} ${visibleText(text)}`);
  if (facts.problem !== null)
    terminal.stdout(paint(`  ${"problem".padEnd(8)} ${visibleText(facts.problem)}`, "denied", terminal.colour));
}

/** e.g. "52 min left", "ended 3 d ago". */
function describeTimeLeft(secondsLeft: number): string {
  const amount = describeSeconds(Math.abs(secondsLeft));
  return secondsLeft < 0 ? `ended ${amount} ago` : `${amount} left`;
}

function describeSeconds(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
