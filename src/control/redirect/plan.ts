import { CardeaError } from "../../core/errors.ts";
import { BACKENDS, type BackendName, type BackendState, lookAtBackend } from "./backend.ts";
import type { Family } from "./iptables.ts";
import type { RedirectSettings } from "./settings.ts";
import { type RedirectHost, type Step, step } from "./step.ts";

/** What is to be run, in order. */
export interface RedirectPlan {
  /** Null: nothing is loaded. */
  readonly backend: BackendName | null;
  readonly steps: readonly Step[];
}

interface PlanOptions {
  readonly host: RedirectHost;
  readonly settings: RedirectSettings;
  readonly backend: BackendName | "auto";
  /** Nothing will be run, so that a named backend need not be there. */
  readonly isDryRun: boolean;
}

/**
 * Rules of ours that some other backend holds go once the new ones are in force: at no time is nothing captured.
 * Errors: `unreachable` when nothing here can load the rules.
 */
export async function planRedirect({ host, settings, backend, isDryRun }: PlanOptions): Promise<RedirectPlan> {
  const ipv6 = await lookAtIpv6(host);
  const looks = { host, families: familiesOf(ipv6), settings };
  const reasons: string[] = [];
  for (const name of backend === "auto" ? BACKENDS : [backend]) {
    const state = await lookAtBackend(name, { ...looks, mayGuess: isDryRun && backend !== "auto" });
    if (state.at === "usable") {
      const others = isDryRun && backend !== "auto" ? [] : await cleanOthers(name, host, looks.families);
      return { backend: name, steps: [...addressSteps(ipv6), ...state.load, ...others] };
    }
    reasons.push(`${name}: ${state.why}`);
  }
  const what = "the rules cannot be loaded here; the container needs NET_ADMIN, and nft or iptables";
  throw new CardeaError("unreachable", [what, ...reasons].join("\n  "));
}

/** Errors: `unreachable` when nothing here can tell what is loaded. */
export async function planCleanup(host: RedirectHost): Promise<RedirectPlan> {
  const ipv6 = await lookAtIpv6(host);
  const steps = [...(await cleanOthers(null, host, familiesOf(ipv6)))];
  if (ipv6.at === "on" && ipv6.hasAddress) steps.push(step("ip", ["-6", "address", "delete", ADDRESS, "dev", "lo"]));
  return { backend: null, steps };
}

/** All backends but one; null: none is spared. */
async function cleanOthers(
  spared: BackendName | null,
  host: RedirectHost,
  families: readonly Family[],
): Promise<readonly Step[]> {
  const steps: Step[] = [];
  const states: BackendState[] = [];
  for (const name of BACKENDS) {
    if (name === spared || (name === "iptables-legacy" && !(await hasLegacyTables(host)))) continue;
    const state = await lookAtBackend(name, { host, families, settings: null, mayGuess: false });
    states.push(state);
    if (state.at === "usable") steps.push(...state.clean);
  }
  if (spared === null && states.every(({ at }) => at === "unusable")) {
    const reasons = states.map((state) => (state.at === "unusable" ? state.why : ""));
    throw new CardeaError("unreachable", ["what is loaded here cannot be told", ...reasons].join("\n  "));
  }
  return steps;
}

/** To ask the old iptables what it holds would make its tables, and they would stay. */
async function hasLegacyTables(host: RedirectHost): Promise<boolean> {
  const names = [await host.read("/proc/net/ip_tables_names"), await host.read("/proc/net/ip6_tables_names")];
  return names.some((text) => text?.split("\n").includes("nat") === true);
}

type Ipv6 = { readonly at: "absent" | "off" } | { readonly at: "on"; readonly hasAddress: boolean };

async function lookAtIpv6(host: RedirectHost): Promise<Ipv6> {
  const isDisabled = await host.read("/proc/sys/net/ipv6/conf/lo/disable_ipv6");
  if (isDisabled === null) return { at: "absent" };
  // Somebody may switch it on later: the rules have to be there.
  if (isDisabled.trim() !== "0") return { at: "off" };
  const addresses = (await host.read("/proc/net/if_inet6")) ?? "";
  return { at: "on", hasAddress: addresses.includes(ADDRESS_HEX) };
}

function familiesOf({ at }: Ipv6): readonly Family[] {
  return at === "absent" ? [4] : [4, 6];
}

/** 127.0.0.6 is there as all of 127.0.0.0/8 is; its counterpart has to be made. */
const ADDRESS = "::6/128";
const ADDRESS_HEX = "00000000000000000000000000000006 ";

function addressSteps(ipv6: Ipv6): readonly Step[] {
  return ipv6.at === "on" && !ipv6.hasAddress ? [step("ip", ["-6", "address", "add", ADDRESS, "dev", "lo"])] : [];
}
