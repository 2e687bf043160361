import type { Command } from "./command.ts";

interface CommandEntry {
  readonly name: string;
  /** Loads the command's file and nothing else: a sidecar has no use for the YAML reader (DESIGN section 8). */
  load(): Promise<Command>;
}

/** Every command, in the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  { name: "up", load: async () => (await import("./up.ts")).command },
  { name: "run", load: async () => (await import("./run.ts")).command },
  { name: "status", load: async () => (await import("./status.ts")).command },
  { name: "flows", load: async () => (await import("./flows.ts")).command },
  { name: "edges", load: async () => (await import("./edges.ts")).command },
  { name: "top", load: async () => (await import("./top.ts")).command },
  { name: "tap", load: async () => (await import("./tap.ts")).command },
  { name: "trace", load: async () => (await import("./trace.ts")).command },
  { name: "explain", load: async () => (await import("./explain.ts")).command },
  { name: "ext-authz", load: async () => (await import("./ext-authz.ts")).command },
  { name: "breach", load: async () => (await import("./breach.ts")).command },
  { name: "lint", load: async () => (await import("./lint.ts")).command },
  { name: "policy check", load: async () => (await import("./policy-check.ts")).command },
  { name: "policy eval", load: async () => (await import("./policy-eval.ts")).command },
  { name: "policy test", load: async () => (await import("./policy-test.ts")).command },
  { name: "policy diff", load: async () => (await import("./policy-diff.ts")).command },
  { name: "policy replay", load: async () => (await import("./policy-replay.ts")).command },
  { name: "policy staged", load: async () => (await import("./policy-staged.ts")).command },
  { name: "policy suggest", load: async () => (await import("./policy-suggest.ts")).command },
  { name: "policy prove", load: async () => (await import("./policy-prove.ts")).command },
  { name: "policy blast-radius", load: async () => (await import("./policy-blast-radius.ts")).command },
  { name: "svid show", load: async () => (await import("./svid-show.ts")).command },
  { name: "svid verify", load: async () => (await import("./svid-verify.ts")).command },
  { name: "jwt verify", load: async () => (await import("./jwt-verify.ts")).command },
  { name: "install", load: async () => (await import("./install.ts")).command },
  { name: "uninstall", load: async () => (await import("./uninstall.ts")).command },
  { name: "doctor", load: async () => (await import("./doctor.ts")).command },
  { name: "inject", load: async () => (await import("./inject.ts")).command },
  { name: "proxy", load: async () => (await import("./proxy.ts")).command },
  { name: "ready", load: async () => (await import("./ready.ts")).command },
  { name: "control", load: async () => (await import("./control.ts")).command },
  { name: "redirect", load: async () => (await import("./redirect.ts")).command },
];

/** The longest command name that the words begin with, or null. */
export function findCommand(words: readonly string[]): CommandEntry | null {
  const matches = COMMANDS.filter((entry) => entry.name.split(" ").every((part, index) => words[index] === part));
  return matches.toSorted((a, b) => b.name.length - a.name.length)[0] ?? null;
}
