import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type BackendName, BACKENDS } from "../../src/control/redirect/backend.ts";
import { runProgram } from "../support/programs.ts";

// `cardea redirect` against the kernel, in a network namespace that ends with each test. Who is not root becomes it in a
// user namespace of his own; there the two of iptables find no user but him, so that nft alone is tried.

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const isRoot = process.getuid?.() === 0;
const NAMESPACES = isRoot ? ["--net", "--mount"] : ["--user", "--map-root-user", "--net", "--mount"];
const TRIED: readonly BackendName[] = isRoot ? BACKENDS : ["nft"];
const NEEDED = ["nft list tables", "ip link", ...(isRoot ? ["iptables-nft-save", "iptables-legacy-save"] : [])];

const usable = (await runProgram("unshare", [...NAMESPACES, "sh", "-ec", NEEDED.join("; ")])).code === 0;
/** In the names, so that who reads what was skipped sees why. */
const NEEDS = usable ? "" : ` (needs unshare, and ${NEEDED.join(", ")})`;

/** A script of sh in which `$redirect` is the command. What the old iptables locks is not everybody's to write. */
async function inNamespace(script: string) {
  const before = `redirect="${process.execPath} ${MAIN} redirect"; mount -t tmpfs none /run; ip link set lo up; `;
  return runProgram("unshare", [...NAMESPACES, "sh", "-ec", before + script]);
}

describe.skipIf(!usable).each(TRIED)(`with %s${NEEDS}`, (backend) => {
  const show =
    backend === "nft"
      ? "nft list ruleset"
      : `${backend}-save -t nat | grep -v '^[#:]'; ${backend.replace("ip", "ip6")}-save -t nat | grep -v '^[#:]'`;

  it("twice is as once, and clean-up leaves nothing", async () => {
    const { code, stdout, stderr } = await inNamespace(`
      (${show}); echo ==; $redirect --backend ${backend}; (${show}); ip -6 addr show dev lo | grep -c ::6/128; echo ==
      $redirect --backend ${backend}; (${show}); ip -6 addr show dev lo | grep -c ::6/128; echo ==
      $redirect --clean; (${show}); ip -6 addr show dev lo | grep ::6/128 || true; echo ==; $redirect --clean`);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const [before, once, twice, after] = stdout
      .split("==\n")
      .map((part) => part.replaceAll(/counter packets.*?(?= return|$)/g, ""));
    expect(once).toContain("1337");
    expect(twice).toBe(once);
    // The tables themselves, empty, are the kernel's.
    expect(after!.replaceAll(/\*nat|COMMIT|\s/g, "")).toBe(before!.replaceAll(/\*nat|COMMIT|\s/g, ""));
    expect(stderr.trim().split("\n").at(-1)).toBe("there was nothing to take away");
  });

  it("takes the place of what others of ours have loaded", async () => {
    const others = TRIED.filter((each) => each !== backend);
    const { code, stdout } = await inNamespace(`
      ${others.map((other) => `$redirect --backend ${other}`).join("; ")}; $redirect --backend ${backend}
      nft list table inet cardea >/dev/null 2>&1 && echo nft
      for each in iptables-nft iptables-legacy; do $each-save -t nat | grep -q 'j CARDEA_INBOUND' && echo $each; done; true`);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${backend}\n` });
  });

  it("takes every kind of setting", async () => {
    const { code, stderr, stdout } = await inNamespace(`
      export CARDEA_REDIRECT_EXCLUDE_OUTBOUND_PORTS=3306,9000-9010,3306
      $redirect --backend ${backend} --gid 1337 --inbound-ports 80,8000-8999 --exclude-inbound-ports 15020,22 \
        --outbound-cidrs 10.0.0.0/8,10.1.2.3/8,fd00::/8 --exclude-outbound-cidrs 10.9.0.0/16,2001:db8::1 --outbound-ports 443
      ${show}`);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/9000[-:]9010/);
    expect(stdout).toContain("2001:db8::1");
  });

  it("shows what it would run, and runs nothing", async () => {
    const { code, stdout } = await inNamespace(
      `$redirect --backend ${backend} --dry-run; echo ==; $redirect --dry-run --json --backend ${backend}; echo ==; ${show}`,
    );
    const [text, json, after] = stdout.split("==\n");
    expect(code).toBe(0);
    expect(text).toContain(
      backend === "nft" ? "nft -f - <<'END'\ntable inet cardea\n" : `${backend}-restore --noflush`,
    );
    for (const line of json!.trim().split("\n")) expect(JSON.parse(line)).toMatchObject({ backend, ran: false });
    expect(after).not.toContain("1337");
  });
});

describe.skipIf(!usable)(`where it may not, or cannot${NEEDS}`, () => {
  it("is refused without NET_ADMIN, with the code of what cannot be reached, and says what it needs", async () => {
    const { code, stderr } = await inNamespace(
      "setpriv --bounding-set=-net_admin --inh-caps=-net_admin $redirect --backend nft",
    );
    expect(code).toBe(3);
    expect(stderr).toMatch(/NET_ADMIN[^]*Operation not permitted/);
  });

  it.skipIf(!isRoot)("takes back what it has loaded when the rest fails", async () => {
    // IPv4's rules are loaded, IPv6's cannot be.
    const { code, stderr, stdout } = await inNamespace(`
      mkdir /run/bin; printf '#!/bin/sh\\necho not today >&2\\nexit 4\\n' > /run/bin/x; chmod +x /run/bin/x
      mount -t tmpfs none /usr/local/sbin; cp /run/bin/x /usr/local/sbin/ip6tables-nft-restore
      $redirect --backend iptables-nft || echo code $?; iptables-nft-save -t nat | grep CARDEA || true
      ip -6 address show dev lo | grep ::6/128 || true`);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "code 3\n" });
    expect(stderr).toMatch(/ip6tables-nft-restore --noflush: not today\n  what had been loaded was taken back/);
  });

  it.each([["--uid 0"], ["--backend ipfw"], ["--inbound-ports 15006"], ["--outbound-cidrs example.com"], ["80"]])(
    "%s is bad usage",
    async (flags) => {
      const { code, stdout } = await inNamespace(`$redirect ${flags}; nft list ruleset`);
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    },
  );
});
