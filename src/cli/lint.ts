import { parseYaml } from "../config/yaml.ts";
import { formatYaml } from "../config/yaml-write.ts";
import { BYPASS_TABLE } from "../control/bypass/bypass-table.ts";
import { lintManifests, type ManifestFinding, type ParsedManifest } from "../control/bypass/lint-manifests.ts";
import { NETWORK_POLICY_NOTE, networkPolicies } from "../control/bypass/network-policy.ts";
import { ALLOWED_BYPASSES_ANNOTATION } from "../control/inject/names.ts";
import { DEFAULT_INJECT_SETTINGS } from "../control/inject/settings.ts";
import { CardeaError } from "../core/errors.ts";
import { type Fault, formatFault } from "../core/located.ts";
import { NAMESPACE_WHEN_ABSENT } from "../core/object-metadata.ts";
import { readPolicyTexts } from "../io/policy-directory.ts";
import type { Command, ParsedArgs, Terminal } from "./command.ts";

/** What the validating webhook says of pods, for manifests in git. */
export const command: Command = {
  name: "lint",
  summary: "ways around the mesh in Kubernetes manifests, by file, line, column and field",
  usage: "cardea lint PATH... [-f FILE...] [--errors] [--json] [--network-policies] [--namespace NAME]",
  example: "cardea lint -f shop.yaml",
  flags: [
    { name: "file", short: "f", value: "FILE", repeat: true, summary: "manifests, as PATH; - is standard input" },
    { name: "errors", value: null, summary: "errors alone, not what takes one step more" },
    { name: "json", value: null, summary: "one JSON object for each finding" },
    {
      name: "network-policies",
      value: null,
      summary: "print the NetworkPolicies that close what a sidecar cannot, and nothing else",
    },
    {
      name: "namespace",
      short: "n",
      value: "NAME",
      summary: "of objects that name none",
      default: NAMESPACE_WHEN_ABSENT,
    },
  ],
  async run(args, terminal) {
    const faults: Fault[] = [];
    const manifests = await readManifests(args, terminal, faults);
    const namespace = args.flag("namespace") ?? NAMESPACE_WHEN_ABSENT;
    const { templates, services, findings } = lintManifests(manifests, {
      namespace,
      settings: DEFAULT_INJECT_SETTINGS,
    });
    for (const fault of faults) terminal.stderr(formatFault(fault));
    if (faults.length > 0) return 2;
    if (args.isSet("network-policies")) {
      const options = { rootNamespace: DEFAULT_INJECT_SETTINGS.rootNamespace, controlPort: CONTROL_PORT };
      terminal.stdout(formatYaml(networkPolicies(templates, services, options), NETWORK_POLICY_NOTE).trimEnd());
      return 0;
    }
    const shown = findings.filter(({ severity }) => severity === "error" || !args.isSet("errors"));
    for (const each of shown) terminal.stdout(args.isSet("json") ? JSON.stringify(each) : formatLine(each));
    terminal.stderr(summary(templates.length, shown));
    return shown.length > 0 ? 1 : 0;
  },
};

const CONTROL_PORT = Number(DEFAULT_INJECT_SETTINGS.controlAddress.split(":").at(-1));

async function readManifests(
  args: ParsedArgs,
  terminal: Terminal,
  faults: Fault[],
): Promise<readonly ParsedManifest[]> {
  const paths = [...args.positional, ...args.flags("file")];
  if (paths.length === 0) throw new CardeaError("bad-input", "name at least one file or directory");
  const read = await readPolicyTexts(paths.filter((path) => path !== "-"));
  faults.push(...read.faults);
  const input = paths.includes("-") ? [{ path: "standard input", text: await readInput(terminal) }] : [];
  return [...read.files, ...input].map(({ path, text }) => ({
    file: path,
    // A chart's file of which nothing is left is no fault.
    documents: isBlank(text) ? [] : parseYaml(text, path, faults),
  }));
}

function isBlank(text: string): boolean {
  return text.split("\n").every((line) => /^\s*(?:#.*|---.*)?$/.test(line));
}

const INPUT_CHARS_MAX = 64 * 1024 * 1024;

async function readInput(terminal: Terminal): Promise<string> {
  const lines: string[] = [];
  let chars = 0;
  for await (const line of terminal.stdin()) {
    chars += line.length + 1;
    if (chars > INPUT_CHARS_MAX) throw new CardeaError("bad-input", "standard input is longer than 64 MiB");
    lines.push(line);
  }
  return lines.join("\n");
}

function formatLine({ file, line, column, field, severity, code, what, why, mend, object }: ManifestFinding): string {
  const place = line === null ? file : `${file}:${line}:${column ?? 1}`;
  return `${place}: ${severity}: ${code}: ${object}: ${field}: ${what}: ${why}; ${mend}`;
}

function summary(pods: number, findings: readonly ManifestFinding[]): string {
  const errors = findings.filter(({ severity }) => severity === "error").length;
  const codes = new Set(findings.map(({ code }) => code));
  const found = `${count(pods, "pod template")}: ${count(errors, "error")}, ${count(findings.length - errors, "warning")}`;
  if (codes.size === 0) return found;
  const all = Object.keys(BYPASS_TABLE).length;
  return `${found}, of ${codes.size} of ${all} kinds; a Namespace allows one by ${ALLOWED_BYPASSES_ANNOTATION}: CODE,…`;
}

function count(number: number, one: string): string {
  return `${number} ${number === 1 ? one : `${one}s`}`;
}
