import type { MetricTitle } from "./metric-source.ts";

/** The formats in which metrics are told: Prometheus' text format 0.0.4, and OpenMetrics 1.0, which has exemplars. */
export type ExpositionFormat = "text" | "openmetrics";

export const EXPOSITION_CONTENT_TYPES: Readonly<Record<ExpositionFormat, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/**
 * The format that a scraper likes best by its Accept field (RFC 9110 section 12.5.1), the text format where it says
 * nothing of OpenMetrics 1.0. Prometheus asks for OpenMetrics first, then for text.
 */
export function chooseFormat(accept: string | undefined): ExpositionFormat {
  const ranges = (accept ?? "").slice(0, ACCEPT_LENGTH_MAX).split(",").map(parseRange);
  const openmetrics = Math.max(0, ...ranges.filter(isOpenMetrics).map((range) => range.weight));
  const text = Math.max(0, ...ranges.filter(isText).map((range) => range.weight));
  return openmetrics > 0 && openmetrics >= text ? "openmetrics" : "text";
}

/** The lines before a family's samples. In OpenMetrics a counter's family is called without its `_total`. */
export function formatTitle(name: string, { type, means }: MetricTitle, format: ExpositionFormat): string {
  if (format === "text")
    return `# HELP ${name} ${escapeHelp(means)}\n# TYPE ${name} ${type === "unknown" ? "untyped" : type}`;
  const family = type === "counter" ? name.replace(/_total$/, "") : name;
  return `# HELP ${family} ${escapeHelp(means).replaceAll('"', '\\"')}\n# TYPE ${family} ${type}`;
}

/** What comes last. Without it OpenMetrics' readers know that they have not got all of it. */
export function formatEnd(format: ExpositionFormat): string {
  return format === "openmetrics" ? "# EOF\n" : "";
}

const ACCEPT_LENGTH_MAX = 2_048;

interface MediaRange {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly weight: number;
}

function parseRange(text: string): MediaRange {
  const [type = "", ...rest] = text.split(";").map((part) => part.trim());
  const parameters = new Map(
    rest.map((part) => {
      const [name = "", value = ""] = part.split("=");
      return [name.trim().toLowerCase(), value.trim().replace(/^"(.*)"$/, "$1")];
    }),
  );
  const weight = Number(parameters.get("q") ?? "1");
  return { type: type.toLowerCase(), parameters, weight: weight >= 0 && weight <= 1 ? weight : 0 };
}

function isOpenMetrics({ type, parameters }: MediaRange): boolean {
  return type === "application/openmetrics-text" && (parameters.get("version") ?? "1.0.0") === "1.0.0";
}

function isText({ type, parameters }: MediaRange): boolean {
  return type === "text/plain" && (parameters.get("version") ?? "0.0.4") === "0.0.4";
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
