import { formatPortRanges } from "../../core/port-range.ts";
import { type RedirectRule, redirectRules } from "./rules.ts";
import type { RedirectSettings } from "./settings.ts";

/** As `nft list tables` has it. */
export const NFT_TABLE = "table inet cardea";

/**
 * The text for `nft -f`: one transaction that puts a new table into the place of an old one, if there is one. The first
 * line makes sure that the second has something to delete.
 */
export function formatNftTable(settings: RedirectSettings): string {
  const { inbound, outbound } = redirectRules(settings);
  const format = (rule: RedirectRule) => `    ${formatRule(rule, settings)}`;
  return `${[
    NFT_TABLE,
    `delete ${NFT_TABLE}`,
    `${NFT_TABLE} {`,
    "  chain inbound {",
    ...inbound.map(format),
    "  }",
    "  chain outbound {",
    ...outbound.map(format),
    "  }",
    "  chain prerouting {",
    "    type nat hook prerouting priority -100; policy accept;",
    "    meta l4proto tcp jump inbound",
    "  }",
    "  chain output {",
    "    type nat hook output priority -100; policy accept;",
    "    meta l4proto tcp jump outbound",
    "  }",
    "}",
  ].join("\n")}\n`;
}

/** The text that takes the table away, and is content where there is none. */
export const NFT_CLEANUP = `${NFT_TABLE}\ndelete ${NFT_TABLE}\n`;

function formatRule(rule: RedirectRule, settings: RedirectSettings): string {
  const { from, to, port, isLocal, uid, gid } = rule;
  const parts = [
    isLocal === true && 'oifname "lo"',
    uid !== undefined && `meta skuid ${uid}`,
    gid !== undefined && `meta skgid ${gid}`,
    from !== undefined && `${from.family === 4 ? "ip" : "ip6"} saddr ${from.text}`,
    to !== undefined && `${to.family === 4 ? "ip" : "ip6"} daddr ${to.text}`,
    // A redirect has to know that the packet is TCP's, also within a chain that only TCP is sent to.
    port === undefined ? rule.verdict.startsWith("to-") && "meta l4proto tcp" : `tcp dport ${formatPortRanges([port])}`,
    formatVerdict(rule, settings),
  ];
  return parts.filter((part) => part !== false).join(" ");
}

function formatVerdict({ verdict }: RedirectRule, { inboundPort, outboundPort }: RedirectSettings): string {
  switch (verdict) {
    case "leave":
      return "return";
    case "arrive":
      return "goto inbound";
    case "to-inbound":
      return `redirect to :${inboundPort}`;
    case "to-outbound":
      return `redirect to :${outboundPort}`;
  }
}
