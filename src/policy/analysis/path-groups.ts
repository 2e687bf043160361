import { matchesPathTemplate, parsePathTemplate } from "../path-template.ts";

/** A segment that names one thing among many: a number, a UUID, a long hexadecimal or random text with digits in it. */
const NAMES_ONE_OF_MANY = [
  /^\d+$/,
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i,
  /^(?=.*\d)[0-9a-f]{8,}$/i,
  /^(?=.*\d)[A-Za-z0-9_-]{16,}$/,
];

/** So many different segments in one place are values, not names of resources. */
const VALUES_MIN = 8;

/**
 * Paths that were seen → the pattern of `paths` that stands for each: the path itself, or a template with `{*}` where the
 * segments are values. Segment by segment from the left, so that `/orders/{*}/items` and `/users/{*}` are told apart.
 */
export function pathPatterns(paths: readonly string[]): ReadonlyMap<string, string> {
  const segments = new Map(paths.map((path) => [path, path.split("/")]));
  const longest = Math.max(0, ...[...segments.values()].map((each) => each.length));
  // The first is empty: a path begins with a slash.
  for (let place = 1; place < longest; place++) {
    const alike = Map.groupBy(segments.values(), (each) => `${each.length} ${each.slice(0, place).join("/")}`);
    for (const group of alike.values()) foldAt(place, group);
  }
  return new Map([...segments].map(([path, folded]) => [path, patternFor(path, folded.join("/"))]));
}

function foldAt(place: number, group: readonly string[][]): void {
  const values = new Set(group.map((each) => each[place] ?? ""));
  const areMany = values.size >= VALUES_MIN;
  for (const each of group) {
    const value = each[place];
    if (value === undefined || value === "") continue;
    if (areMany || NAMES_ONE_OF_MANY.some((shape) => shape.test(value))) each[place] = "{*}";
  }
}

/** A rule that grants matches narrow, so a template takes no odd letters; such a path stands for itself, or as a prefix. */
function patternFor(path: string, template: string): string {
  if (template !== path && matchesPathTemplate(parsePathTemplate(template), path, false)) return template;
  const isPlain = !/[{}]/.test(path) && !path.startsWith("*") && !path.endsWith("*");
  return isPlain ? path : `${path.slice(0, Math.max(0, path.search(/[{}*]/)))}*`;
}
