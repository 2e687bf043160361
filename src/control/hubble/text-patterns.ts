import { compileRegex } from "../../core/regex.ts";

/** Whether a text fits. */
export type TakesText = (text: string) => boolean;

/** A regular expression that is looked for anywhere in a text, as Go's MatchString has it. Throws an Error. */
export function searchPattern(pattern: string): TakesText {
  const flag = pattern.startsWith("(?i)") ? "(?i)" : "";
  // Any text around it: what anchors hold is still the text's own begin and end.
  const regex = compileRegex(`${flag}(?:.|\\n)*(?:${pattern.slice(flag.length)})(?:.|\\n)*`);
  return (text) => regex.test(text);
}

/** A domain name in which `*` stands for any part of one, as Hubble has it. Throws an Error. */
export function domainPattern(pattern: string): TakesText {
  const regex = compileRegex(domainRegex(pattern));
  return (text) => regex.test(text);
}

/** `node`, `cluster/node` or `cluster/`, each with `*`; a name without a cluster is of the cluster "default". Throws an Error. */
export function nodePattern(pattern: string): TakesText {
  const parts = pattern.split("/");
  if (pattern === "" || parts.length > 2) throw new Error(`${JSON.stringify(pattern)} is no pattern of node names`);
  const [cluster, node] = parts.length === 1 ? ["", parts[0]!] : [parts[0]!, parts[1]!];
  const regex = compileRegex(
    `${cluster === "" ? ANY_DOMAIN : domainRegex(cluster)}/${node === "" ? ANY_DOMAIN : domainRegex(node)}`,
  );
  return (text) => regex.test(text.includes("/") ? text : `default/${text}`);
}

const ANY_DOMAIN = "[-0-9_a-z]+(?:\\.[-0-9_a-z]+)*";

function domainRegex(pattern: string): string {
  const name = pattern.trim().replace(/\.$/, "").toLowerCase();
  if (!/^[-.0-9_a-z*]+$/.test(name) || name.endsWith("."))
    throw new Error(`${JSON.stringify(pattern)} is no pattern of domain names`);
  return name.replaceAll(".", "\\.").replaceAll("*", "[-.0-9a-z]*");
}
