/** What the canvas is drawn in: the style sheet's own colours, light or dark. */
export interface Colours {
  readonly allowed: string;
  readonly denied: string;
  readonly "would-deny": string;
  readonly error: string;
  readonly blast: string;
  readonly selected: string;
}

const NAMES = ["allowed", "denied", "would-deny", "error", "blast", "selected"] as const;

/** Asks the style sheet by elements that have the colours: it alone knows whether it is dark. */
export function readColours(host: HTMLElement): Colours {
  const found = NAMES.map((name) => {
    const probe = document.createElement("i");
    probe.className = `probe probe-${name}`;
    host.appendChild(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return [name, color] as const;
  });
  return Object.fromEntries(found) as unknown as Colours;
}
