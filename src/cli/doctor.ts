import { examine, type Examination } from "../control/doctor/examine.ts";
import { CHECK_TABLE, type Finding } from "../control/doctor/finding.ts";
import { systemClock } from "../io/clock.ts";
import { openClusterClient } from "./cluster-client.ts";
import { KUBECONFIG_FLAG } from "./cluster-flags.ts";
import type { Command } from "./command.ts";
import { paint, visibleText } from "./flow-text.ts";
import { NAMESPACE_FLAG, readNamespace } from "./installation.ts";

/** What is wrong with a cluster, before the mesh is there and after. */
export const command: Command = {
  name: "doctor",
  summary: "what is wrong in a cluster, before an installation and after it, and how to mend it",
  usage: "cardea doctor [--json] [--namespace NAME] [--kubeconfig FILE]",
  example: "cardea doctor",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "json", value: null, summary: "one JSON object for each finding, good ones included" },
    NAMESPACE_FLAG,
    KUBECONFIG_FLAG,
  ],
  async run(args, terminal) {
    const namespace = readNamespace(args);
    const cluster = await openClusterClient(args, terminal);
    try {
      const found = await examine(cluster.kube, { namespace, nowMs: systemClock.wallMs() });
      if (args.isSet("json")) for (const each of found.findings) terminal.stdout(JSON.stringify(each));
      else for (const line of describe(found, namespace, terminal.colour)) terminal.stdout(line);
      return found.findings.some(({ verdict }) => verdict === "error") ? 1 : 0;
    } finally {
      await cluster.close();
    }
  },
};

function describe({ installed, findings }: Examination, namespace: string, colour: boolean): readonly string[] {
  const names = installed.map((each) => each ?? "the default").join(", ");
  const head =
    installed.length === 0
      ? `Cardea is not installed in ${namespace}`
      : `Cardea is installed in ${namespace}: ${names}`;
  const count = (verdict: Finding["verdict"]): number => findings.filter((each) => each.verdict === verdict).length;
  return [
    head,
    ...findings.flatMap((each) => describeFinding(each, colour)),
    `${count("error")} errors, ${count("warning")} warnings, ${count("unknown")} not looked at`,
  ];
}

const WIDTH = Math.max(...Object.keys(CHECK_TABLE).map((name) => name.length));
const WORDS = { ok: "ok     ", warning: "warning", error: "ERROR  ", unknown: "unknown" } as const;

function describeFinding({ check, verdict, about, message, mend }: Finding, colour: boolean): readonly string[] {
  const word = verdict === "ok" ? WORDS.ok : paint(WORDS[verdict], "denied", colour);
  const whom = about === "" ? "" : `${about} `;
  const line = `${word}  ${check.padEnd(WIDTH)}  ${visibleText(`${whom}${message}`)}`;
  return [line, ...(mend === null ? [] : [`${" ".repeat(WIDTH + 11)}→ ${visibleText(mend)}`])];
}
