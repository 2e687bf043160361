/** `name{labels} value`; labels as `formatLabels` made them. */
export function formatSample(name: string, labels: string, value: number): string {
  return `${name}${labels === "" ? "" : `{${labels}}`} ${formatValue(value)}`;
}

/** `a="x",b="y"`, escaped as the text format wants it, and free of what could act on a terminal. */
export function formatLabels(names: readonly string[], values: readonly string[]): string {
  return names.map((name, index) => `${name}="${escapeLabel(values[index]!)}"`).join(",");
}

/** A label value is part of a series' name for as long as the process lives: longer ones are cut. */
const LABEL_LENGTH_MAX = 256;

function escapeLabel(value: string): string {
  const bounded = value.length > LABEL_LENGTH_MAX ? `${value.slice(0, LABEL_LENGTH_MAX)}…` : value;
  return bounded
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd")
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"');
}

function formatValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
