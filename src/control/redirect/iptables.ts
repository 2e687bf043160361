import type { Cidr } from "../../core/cidr.ts";
import { type RedirectRule, redirectRules } from "./rules.ts";
import type { RedirectSettings } from "./settings.ts";

/** What iptables, or ip6tables, is to hold; the rules of the other family are left out. */
export type Family = Cidr["family"];

const INBOUND = "CARDEA_INBOUND";
const OUTBOUND = "CARDEA_OUTBOUND";
const JUMPS = [`PREROUTING -p tcp -j ${INBOUND}`, `OUTPUT -p tcp -j ${OUTBOUND}`] as const;

/**
 * The text for `iptables-restore --noflush`, loaded whole or not at all. `saved` is what `iptables-save -t nat` says:
 * a chain that is named anew is emptied, but a jump to it that is there already would be there twice.
 */
export function formatIptables(settings: RedirectSettings, family: Family, saved: string): string {
  const { inbound, outbound } = redirectRules(settings);
  const add = (chain: string) => (rule: RedirectRule) =>
    isOf(rule, family) ? [`-A ${chain} ${formatRule(rule, settings)}`] : [];
  return lines([
    "*nat",
    `:${INBOUND} - [0:0]`,
    `:${OUTBOUND} - [0:0]`,
    ...removeJumps(saved),
    ...inbound.flatMap(add(INBOUND)),
    ...outbound.flatMap(add(OUTBOUND)),
    // Before whatever else is there, which could let something pass by.
    ...JUMPS.map((jump) => `-I ${jump}`),
    "COMMIT",
  ]);
}

/** The text that takes all of it away; null where nothing is. */
export function formatIptablesCleanup(saved: string): string | null {
  const chains = [OUTBOUND, INBOUND].filter((chain) => saved.includes(`:${chain} `));
  if (chains.length === 0) return null;
  const commands = ["-F", "-X"].flatMap((command) => chains.map((chain) => `${command} ${chain}`));
  return lines(["*nat", ...removeJumps(saved), ...commands, "COMMIT"]);
}

/** One for each that is there. */
function removeJumps(saved: string): string[] {
  const rules = saved.split("\n");
  return JUMPS.flatMap((jump) => rules.filter((rule) => rule === `-A ${jump}`).map(() => `-D ${jump}`));
}

function isOf({ from, to }: RedirectRule, family: Family): boolean {
  return (from ?? to)?.family !== (family === 4 ? 6 : 4);
}

function formatRule(rule: RedirectRule, settings: RedirectSettings): string {
  const { from, to, port, isLocal, uid, gid } = rule;
  const parts = [
    from !== undefined && `-s ${from.text}`,
    to !== undefined && `-d ${to.text}`,
    isLocal === true && "-o lo",
    "-p tcp",
    port !== undefined && `--dport ${port.from === port.to ? port.from : `${port.from}:${port.to}`}`,
    uid !== undefined && `-m owner --uid-owner ${uid}`,
    gid !== undefined && `-m owner --gid-owner ${gid}`,
    formatVerdict(rule, settings),
  ];
  return parts.filter((part) => part !== false).join(" ");
}

function formatVerdict({ verdict }: RedirectRule, { inboundPort, outboundPort }: RedirectSettings): string {
  switch (verdict) {
    case "leave":
      return "-j RETURN";
    case "arrive":
      return `-g ${INBOUND}`;
    case "to-inbound":
      return `-j REDIRECT --to-ports ${inboundPort}`;
    case "to-outbound":
      return `-j REDIRECT --to-ports ${outboundPort}`;
  }
}

function lines(all: readonly string[]): string {
  return `${all.join("\n")}\n`;
}
