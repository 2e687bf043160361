import { parseYaml } from "../config/yaml.ts";
import { type Fault, formatFault } from "../core/located.ts";
import { CardeaError } from "../core/errors.ts";
import { NAMESPACE_WHEN_ABSENT } from "../core/object-metadata.ts";
import { injectManifests, type Manifest, type TemplateOutcome } from "../control/inject/inject-manifest.ts";
import {
  DEFAULT_INJECT_SETTINGS,
  type InjectSettings,
  parseInjectSettings,
  sidecarModeOf,
} from "../control/inject/settings.ts";
import { readText } from "../io/files.ts";
import type { Command, ParsedArgs, Terminal } from "./command.ts";

/** A rendered chart of a large platform has some megabytes. */
const MANIFEST_BYTES_MAX = 64 * 1024 * 1024;

/** Manifests in, injected manifests out: what the webhook does, for files. */
export const command: Command = {
  name: "inject",
  summary: "put a sidecar into the pods of Kubernetes manifests, as the webhook would",
  usage: "cardea inject -f FILE... [--settings FILE] [--kubernetes VERSION] [--namespace NAME]",
  example: "cardea inject -f shop.yaml | kubectl apply -f -",
  positional: { min: 0, max: 0 },
  flags: [
    {
      name: "file",
      short: "f",
      value: "FILE",
      repeat: true,
      summary: "manifests, YAML or JSON; - is standard input",
      default: "-",
    },
    { name: "settings", value: "FILE", summary: "an InjectionSettings document; without it, the defaults" },
    {
      name: "kubernetes",
      value: "VERSION",
      summary: "the cluster's version; below 1.29 the sidecar is a plain container",
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
    const settings = await readSettings(args);
    const manifests = await Promise.all(args.flags("file").map((file) => readManifest(file, terminal)));
    const faults: Fault[] = [];
    const namespace = args.flag("namespace") ?? NAMESPACE_WHEN_ABSENT;
    const { manifests: injected, outcomes } = injectManifests(manifests, { settings, namespace }, faults);
    for (const fault of faults) terminal.stderr(formatFault(fault));
    for (const outcome of outcomes) for (const line of describe(outcome)) terminal.stderr(line);
    const refused = outcomes.filter(({ injection }) => injection.kind === "refuse").length;
    // Half of an application is not what anybody wants to apply.
    if (faults.length > 0 || refused > 0) return 2;
    terminal.stdout(injected.map(({ text }) => text.replace(/\n$/, "")).join("\n---\n"));
    return 0;
  },
};

async function readSettings(args: ParsedArgs): Promise<InjectSettings> {
  const file = args.flag("settings");
  const settings = file === undefined ? DEFAULT_INJECT_SETTINGS : parseSettings(await readText(file), file);
  const version = args.flag("kubernetes");
  if (version === undefined) return settings;
  try {
    return { ...settings, sidecar: sidecarModeOf(version) };
  } catch (thrown) {
    throw new CardeaError("bad-input", `--kubernetes: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

function parseSettings(text: string, file: string): InjectSettings {
  const faults: Fault[] = [];
  const documents = parseYaml(text, file, faults);
  const [document] = documents;
  const settings = document === undefined ? null : parseInjectSettings(document, { file, field: "", faults });
  if (documents.length > 1)
    faults.push({ file, line: null, column: null, field: "", message: "has more than one document" });
  if (settings === null || faults.length > 0) throw new CardeaError("bad-input", faults.map(formatFault).join("\n"));
  return settings;
}

async function readManifest(file: string, terminal: Terminal): Promise<Manifest> {
  if (file !== "-") return { file, text: await readText(file, MANIFEST_BYTES_MAX) };
  const lines: string[] = [];
  let bytes = 0;
  for await (const line of terminal.stdin()) {
    bytes += line.length + 1;
    if (bytes > MANIFEST_BYTES_MAX)
      throw new CardeaError("bad-input", `standard input is longer than ${MANIFEST_BYTES_MAX} bytes`);
    lines.push(line);
  }
  return { file: "standard input", text: lines.length === 0 ? "" : `${lines.join("\n")}\n` };
}

function describe({ file, template, injection }: TemplateOutcome): readonly string[] {
  const what = `${file}: ${template.kind} ${template.namespace}/${template.name}`;
  switch (injection.kind) {
    case "inject":
      return [
        `${what}: ${injection.patch.length === 0 ? "is injected already" : "injected"}`,
        ...injection.warnings.map((warning) => `${what}: warning: ${warning}`),
      ];
    case "leave":
      return [`${what}: left as it is: ${injection.why}`];
    case "refuse":
      return [`${what}: refused: ${injection.why}; ${injection.mend}`];
  }
}
