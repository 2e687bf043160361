import { showText } from "./format.ts";

// Elements are made here alone, of texts: nothing that was recorded ever becomes markup, an address or a handler.

export type Child = Node | string | number | null | false | undefined | readonly Child[];

/** Attributes that may be set; style, href and handlers are not among them. */
const ATTRIBUTES = [
  "class",
  "colspan",
  "disabled",
  "for",
  "hidden",
  "id",
  "lang",
  "max",
  "min",
  "name",
  "open",
  "placeholder",
  "role",
  "scope",
  "selected",
  "step",
  "tabindex",
  "title",
  "type",
  "value",
  "autocomplete",
  "spellcheck",
] as const;

export type Props = { readonly [Name in (typeof ATTRIBUTES)[number]]?: string | number | boolean | null } & {
  readonly aria?: Readonly<Record<string, string | number | boolean | null>>;
  readonly data?: Readonly<Record<string, string | null>>;
  readonly on?: { readonly [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => void };
};

export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  props: Props = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const name of ATTRIBUTES) setAttribute(element, name, props[name] ?? null);
  for (const [name, value] of Object.entries(props.aria ?? {}))
    if (value !== null) element.setAttribute(`aria-${name}`, showText(String(value)));
  for (const [name, value] of Object.entries(props.data ?? {})) if (value !== null) element.dataset[name] = value;
  for (const [name, call] of Object.entries(props.on ?? {})) element.addEventListener(name, call as EventListener);
  append(element, children);
  return element;
}

function setAttribute(element: HTMLElement, name: string, value: string | number | boolean | null): void {
  if (value === null || value === false) return;
  const isShown = name === "title" || name === "placeholder";
  element.setAttribute(name, value === true ? "" : isShown ? showText(String(value)) : String(value));
}

export function append(parent: Node, children: readonly Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (isList(child)) append(parent, child);
    else if (child instanceof Node) parent.appendChild(child);
    else parent.appendChild(document.createTextNode(showText(String(child))));
  }
}

function isList(child: Child): child is readonly Child[] {
  return Array.isArray(child);
}

/** What was in the parent goes. Whoever had the focus has it again, if an element of the same `data-key` is there. */
export function fill(parent: HTMLElement, ...children: readonly Child[]): void {
  const focused = document.activeElement;
  const key = focused instanceof HTMLElement && parent.contains(focused) ? focused.dataset["key"] : undefined;
  const made = document.createDocumentFragment();
  append(made, children);
  parent.replaceChildren(made);
  if (key === undefined) return;
  for (const each of parent.querySelectorAll<HTMLElement>("[data-key]"))
    if (each.dataset["key"] === key) each.focus({ preventScroll: true });
}

/** Sets the text if it is another. */
export function setText(element: HTMLElement, text: string): void {
  const shown = showText(text);
  if (element.textContent !== shown) element.textContent = shown;
}
