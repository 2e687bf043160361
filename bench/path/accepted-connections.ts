import { readFileSync } from "node:fs";

/** How many TCP connections have been accepted on this machine (or in this network namespace) so far. */
export function readAcceptedConnections(): number {
  return parsePassiveOpens(readFileSync("/proc/net/snmp", "latin1"));
}

/** PassiveOpens of /proc/net/snmp, where a line of names stands above a line of values. NaN where there is none. */
export function parsePassiveOpens(text: string): number {
  const [names, values] = text
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"))
    .map((line) => line.split(" "));
  return Number(values?.[names?.indexOf("PassiveOpens") ?? -1] ?? Number.NaN);
}
