/**
 * A text of unknown origin as it can be seen: what turns, hides or moves what stands beside it (controls, bidirectional
 * marks, what has no width, private and unassigned characters, halves of pairs) is written as `\u{…}`.
 */
export function showText(text: string): string {
  return text.replace(HIDDEN, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** Of what Unicode calls letters and marks, those that nobody sees. */
const UNSEEN = [
  "\\u034f",
  "\\u115f",
  "\\u1160",
  "\\u17b4",
  "\\u17b5",
  "\\u180b-\\u180f",
  "\\u2800",
  "\\u3164",
  "\\uffa0",
];
const VARIATIONS = ["\\ufe00-\\ufe0f", "\\u{e0100}-\\u{e01ef}"];
const HIDDEN = new RegExp(
  `[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Cn}\\p{Zl}\\p{Zp}${UNSEEN.join("")}${VARIATIONS.join("")}]`,
  "gu",
);

/** Per second, short. */
export function rate(count: number, seconds: number): string {
  const perSecond = count / Math.max(1, seconds);
  if (count === 0) return "0/s";
  if (perSecond >= 0.1) return `${short(perSecond)}/s`;
  const perMinute = perSecond * 60;
  if (perMinute >= 0.1) return `${short(perMinute)}/min`;
  return `${short(perMinute * 60)}/h`;
}

/** Three digits and what they are thousands of. */
export function short(value: number): string {
  const step = STEPS.find(({ size }) => Math.abs(value) >= size);
  if (step === undefined) return value >= 10 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
  const scaled = value / step.size;
  return `${scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)}${step.unit}`;
}

const STEPS = [
  { size: 1e9, unit: "G" },
  { size: 1e6, unit: "M" },
  { size: 1e3, unit: "k" },
] as const;

export function duration(ms: number | null): string {
  if (ms === null) return "–";
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [count, 0];
  while (value >= 1_024 && unit < units.length - 1) [value, unit] = [value / 1_024, unit + 1];
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function percent(part: number, whole: number): string {
  if (whole === 0 || part === 0) return "0 %";
  const share = (part / whole) * 100;
  return share < 0.1 ? "< 0.1 %" : `${share < 10 ? share.toFixed(1) : Math.round(share)} %`;
}

/** In the reader's own time zone. */
export function clockTime(ms: number, parts: "minutes" | "seconds" | "millis" = "seconds"): string {
  const date = new Date(ms);
  const text = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0"));
  if (parts === "minutes") return text.slice(0, 2).join(":");
  return parts === "seconds" ? text.join(":") : `${text.join(":")}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** With the day where it is not today's. */
export function moment(ms: number, nowMs: number, parts: "minutes" | "seconds" | "millis" = "minutes"): string {
  const [date, today] = [new Date(ms), new Date(nowMs)];
  const day = date.toDateString() === today.toDateString() ? "" : `${date.getDate()} ${MONTHS[date.getMonth()]} `;
  return `${day}${clockTime(ms, parts)}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function ago(ms: number): string {
  if (ms < 2_000) return "just now";
  const unit = AGES.find(({ size }) => ms >= 2 * size) ?? AGES.at(-1)!;
  return `${Math.floor(ms / unit.size)} ${unit.name} ago`;
}

const AGES = [
  { size: 86_400_000, name: "days" },
  { size: 3_600_000, name: "h" },
  { size: 60_000, name: "min" },
  { size: 1_000, name: "s" },
] as const;

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count === 1 ? "1" : short(count)} ${count === 1 ? one : many}`;
}

/** `TLSv1.3` as people write it. */
export function tlsName(version: string | null): string {
  return version === null ? "no TLS" : version.replace(/^TLSv/, "TLS ");
}
