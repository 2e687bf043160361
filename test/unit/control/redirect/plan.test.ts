import { describe, expect, it } from "vitest";
import { formatIptables } from "../../../../src/control/redirect/iptables.ts";
import { planCleanup, planRedirect } from "../../../../src/control/redirect/plan.ts";
import { runPlan } from "../../../../src/control/redirect/run-plan.ts";
import { parseRedirectSettings } from "../../../../src/control/redirect/settings.ts";
import { formatStep, type RedirectHost, type Step, type StepResult } from "../../../../src/control/redirect/step.ts";

const SETTINGS = parseRedirectSettings(() => undefined, {});
const GOOD: StepResult = { code: 0, stdout: "", stderr: "" };
const DENIED: StepResult = { code: 1, stdout: "", stderr: "\nOperation not permitted (you must be root)\n" };

/** A machine: what its programs answer, by the beginning of the command line; without an answer, there is no such program. */
function machine(answers: Record<string, StepResult>, files: Record<string, string> = {}) {
  const ran: Step[] = [];
  const host: RedirectHost = {
    run(step) {
      ran.push(step);
      const line = [step.program, ...step.args].join(" ");
      const known = Object.keys(answers).find((each) => line.startsWith(each));
      return Promise.resolve(known === undefined ? null : answers[known]!);
    },
    read: (path) => Promise.resolve(files[path] ?? null),
  };
  return { host, ran };
}

const plan = (host: RedirectHost, backend: "auto" | "nft" | "iptables-nft" = "auto", isDryRun = false) =>
  planRedirect({ host, settings: SETTINGS, backend, isDryRun });
const lines = (steps: readonly Step[]) => steps.map(({ program, args }) => [program, ...args].join(" "));
const IPV6 = { "/proc/sys/net/ipv6/conf/lo/disable_ipv6": "0\n" };

describe("what loads the rules", () => {
  it("is nft where it works, in one step", async () => {
    const { host } = machine({ nft: GOOD, "iptables-nft-save": GOOD });
    const { backend, steps } = await plan(host);
    expect({ backend, steps: lines(steps) }).toEqual({ backend: "nft", steps: ["nft -f -"] });
  });

  it.each([
    ["there is no nft", {}],
    ["nft may not", { nft: DENIED }],
    ["the kernel does not take the table", { "nft list": GOOD, "nft -c": DENIED }],
  ])("is iptables-nft where %s", async (_why, answers) => {
    const { host } = machine({ ...answers, "iptables-nft-save": GOOD, "ip6tables-nft-save": GOOD }, IPV6);
    const { backend, steps } = await plan(host);
    expect(backend).toBe("iptables-nft");
    expect(lines(steps)).toEqual([
      "ip -6 address add ::6/128 dev lo",
      "iptables-nft-restore --noflush",
      "ip6tables-nft-restore --noflush",
    ]);
  });

  it("is the old iptables where there is nothing else, with its lock", async () => {
    const { host } = machine({ "iptables-legacy-save": GOOD });
    expect(lines((await plan(host)).steps)).toEqual(["iptables-legacy-restore --noflush --wait 10"]);
  });

  it("is nothing where IPv6 could not be captured as well", async () => {
    const { host } = machine({ "iptables-nft-save": GOOD }, IPV6);
    await expect(plan(host)).rejects.toMatchObject({ code: "unreachable" });
  });

  it("is nothing on a machine that has nothing, and each reason is told", async () => {
    const { host, ran } = machine({ nft: DENIED });
    const failure = plan(host);
    await expect(failure).rejects.toMatchObject({ code: "unreachable" });
    await expect(failure).rejects.toThrow(
      /NET_ADMIN.*\n.*nft: nft: Operation not permitted.*\n.*no program iptables-nft-save/,
    );
    expect(ran.filter(({ args }) => args.includes("-f") && !args.includes("-c"))).toEqual([]);
  });

  it("is what was named, or nothing", async () => {
    const { host } = machine({ nft: GOOD });
    await expect(plan(host, "iptables-nft")).rejects.toMatchObject({ code: "unreachable" });
  });

  it("may be shown for a machine that has none of it", async () => {
    const { host, ran } = machine({});
    expect(lines((await plan(host, "nft", true)).steps)).toEqual(["nft -f -"]);
    expect(ran).toEqual([]);
  });
});

const SAVED = ["*nat", ":CARDEA_INBOUND - [0:0]", ":CARDEA_OUTBOUND - [0:0]", "-A PREROUTING -p tcp -j CARDEA_INBOUND"]
  .concat(["-A OUTPUT -p tcp -j CARDEA_OUTBOUND", "-A OUTPUT -p tcp -j SOMEBODYS", "COMMIT", ""])
  .join("\n");

describe("rules that are there already", () => {
  it("lose their jumps in the same transaction that makes new ones, and nobody else's", () => {
    const text = formatIptables(SETTINGS, 4, SAVED);
    expect(text.match(/^-D .*$/gm)).toEqual([
      "-D PREROUTING -p tcp -j CARDEA_INBOUND",
      "-D OUTPUT -p tcp -j CARDEA_OUTBOUND",
    ]);
    expect(formatIptables(SETTINGS, 4, "")).not.toContain("-D ");
  });

  it("of another backend go after the new ones are loaded", async () => {
    const { host } = machine({ nft: GOOD, "iptables-nft-save": { ...GOOD, stdout: SAVED } });
    const { steps } = await plan(host);
    expect(lines(steps)).toEqual(["nft -f -", "iptables-nft-restore --noflush"]);
    expect(steps[1]!.input).toContain("-X CARDEA_INBOUND");
    expect(steps[1]!.input).not.toContain("SOMEBODYS");
  });

  it("of the old iptables are not looked for where that would make its tables", async () => {
    const { host, ran } = machine({ nft: GOOD, "iptables-legacy-save": { ...GOOD, stdout: SAVED } });
    expect((await planCleanup(host)).steps).toEqual([]);
    expect(lines(ran)).not.toContain("iptables-legacy-save -t nat");
  });

  it("are all found to be taken away", async () => {
    const files = {
      ...IPV6,
      "/proc/net/ip_tables_names": "nat\n",
      "/proc/net/if_inet6": "00000000000000000000000000000006 01 80 00 80 lo\n",
    };
    const save = { ...GOOD, stdout: SAVED };
    const answers = { "nft list": { ...GOOD, stdout: "table inet cardea\n" }, ip: save };
    const { host } = machine(answers, files);
    expect(lines((await planCleanup(host)).steps)).toEqual([
      "nft -f -",
      "iptables-nft-restore --noflush",
      "ip6tables-nft-restore --noflush",
      "iptables-legacy-restore --noflush --wait 10",
      "ip6tables-legacy-restore --noflush --wait 10",
      "ip -6 address delete ::6/128 dev lo",
    ]);
  });

  it("cannot be said to be gone where nothing can tell", async () => {
    await expect(planCleanup(machine({ nft: DENIED }).host)).rejects.toMatchObject({ code: "unreachable" });
  });
});

describe("a step that fails", () => {
  it("takes back what was loaded before it, and says what it said", async () => {
    const answers = {
      "iptables-nft-restore": GOOD,
      "ip6tables-nft-restore": DENIED,
      "iptables-nft-save": GOOD,
      "ip6tables-nft-save": GOOD,
      ip: GOOD,
    };
    const { host } = machine(answers, IPV6);
    const planned = await plan(host, "iptables-nft");
    answers["iptables-nft-save"] = { ...GOOD, stdout: SAVED };
    const { host: later, ran } = machine(answers, IPV6);
    const failure = runPlan(planned, later);
    await expect(failure).rejects.toMatchObject({ code: "unreachable" });
    await expect(failure).rejects.toThrow(/ip6tables-nft-restore.*Operation not permitted[^]*was taken back/);
    expect(ran.at(-1)!.input).toContain("-X CARDEA_OUTBOUND");
  });

  it("says so when it cannot be taken back either", async () => {
    const { host } = machine({ nft: GOOD });
    await expect(runPlan(await plan(host), machine({}).host)).rejects.toThrow(
      /no such program[^]*taking back .* failed/,
    );
  });
});

it("a step is shown as a shell would run it", () => {
  expect(formatStep({ program: "nft", args: ["-f", "-"], input: "x\n" })).toBe("nft -f - <<'END'\nx\nEND");
});
