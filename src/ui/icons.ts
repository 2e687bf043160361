const SVG = "http://www.w3.org/2000/svg";

/** Line drawings on a field of 16 by 16, in the colour of the text beside them. */
const PATHS = {
  lock: "M5 7V5.2a3 3 0 0 1 6 0V7M3.8 7h8.4v6.2H3.8z",
  "lock-pq": "M4 7V5.2a3 3 0 0 1 6 0V7M2.8 7h8.4v6.2H2.8zM13 2.2v3M11.5 3.7h3",
  unlocked: "M5 7V5.2a3 3 0 0 1 5.8-1M3.8 7h8.4v6.2H3.8z",
  denied: "M4.2 4.2l7.6 7.6M11.8 4.2l-7.6 7.6",
  "would-deny": "M8 2.5l6 11H2zM8 6.7v3M8 11.6v.2",
  error: "M8 3v6M8 12v.4",
  allowed: "M3.2 8.6l3 3 6.6-7",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.4 10.4L14 14",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
  back: "M9.5 3L4.5 8l5 5",
  sun: "M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM8 1.4v1.4M8 13.2v1.4M1.4 8h1.4M13.2 8h1.4M3.3 3.3l1 1M11.7 11.7l1 1M3.3 12.7l1-1M11.7 4.3l1-1",
  moon: "M13.4 9.7A5.8 5.8 0 0 1 6.3 2.6a5.8 5.8 0 1 0 7.1 7.1z",
  fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  plus: "M8 3.5v9M3.5 8h9",
  minus: "M3.5 8h9",
  blast:
    "M8 9.6a1.6 1.6 0 1 0 0-3.2 1.6 1.6 0 0 0 0 3.2zM4.7 11.3a4.7 4.7 0 0 1 0-6.6M11.3 4.7a4.7 4.7 0 0 1 0 6.6M2.4 13.6a8 8 0 0 1 0-11.2M13.6 2.4a8 8 0 0 1 0 11.2",
  arrow: "M3 8h9.5M9 4.5L12.5 8 9 11.5",
} as const;

export type IconName = keyof typeof PATHS;

/** Says nothing to a screen reader: the words beside it do. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.appendChild(path);
  return svg;
}
