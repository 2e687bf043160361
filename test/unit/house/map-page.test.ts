import { expect, test } from "vitest";
import { readProjectFile, readProjectFiles } from "./project-files.ts";
import { codeOf } from "./source-text.ts";

// The map's page shows what others have sent. What a text could become something by is not there to be used.

const sources = readProjectFiles("src/ui", [".ts"]);
const styles = readProjectFiles("src/ui", [".css"]);

test("the checks below look at the whole page", () => {
  expect(sources.length).toBeGreaterThan(20);
  expect(styles.length).toBeGreaterThan(2);
});

/** Ways by which text becomes markup, a script, a style sheet, an address or a message to somebody else. */
const SINKS =
  /\b(?:innerHTML|outerHTML|insertAdjacentHTML|setHTML\w*|document\.write\w*|DOMParser|createContextualFragment|srcdoc|eval|new Function|importScripts|Worker|ServiceWorker|postMessage|cssText|insertRule|adoptedStyleSheets|WebSocket|EventSource|XMLHttpRequest|sendBeacon|indexedDB|document\.cookie|window\.open|location\.(?:href|assign|replace)|\.src\b|\.href\b|HTMLScriptElement)\b/;

test("no text can become markup, a script, a style sheet or an address", () => {
  const found = sources.flatMap(({ path, text }) => {
    const match = SINKS.exec(codeOf(text, { keepStrings: true }));
    return match === null ? [] : [`${path}: ${match[0]}`];
  });
  expect(found).toEqual([]);
});

test.each(["a.innerHTML = b", "document.write(x)", "new Function(x)", "frame.srcdoc = x", "img.src = x", "eval(x)"])(
  "the list of such ways finds %j",
  (text) => expect(SINKS.test(text)).toBe(true),
);

test.each(["element.textContent = text", "el('p', {}, text)", "const source = 1", "evaluate(x)"])(
  "the list of such ways lets %j through",
  (text) => expect(SINKS.test(text)).toBe(false),
);

test("attributes are set from a list that has no handlers, styles or addresses", () => {
  const [, list = ""] = /const ATTRIBUTES = \[(.*?)\]/s.exec(readProjectFile("src/ui/dom.ts")) ?? [];
  const names = [...list.matchAll(/"([\w-]+)"/g)].map((match) => match[1]!);
  expect(names.length).toBeGreaterThan(10);
  expect(names.filter((name) => /^(?:on|style|href|src|action|formaction|srcdoc|xlink)/.test(name))).toEqual([]);
});

test("the page loads nothing of ours but its own modules: what it shares with the control plane are types", () => {
  const found = sources.flatMap(({ path, text }) =>
    [...text.matchAll(/^import (type )?[^;]*?from "([^"]+)";/gms)]
      .filter(([, type, from]) => type === undefined && !/^\.\/[\w-]+\.ts$/.test(from!))
      .map(([, , from]) => `${path}: ${from}`),
  );
  expect(found).toEqual([]);
});

test("no style sheet and no page names another host", () => {
  const texts = [...styles, ...readProjectFiles("src/ui", [".html"])];
  expect(texts.filter(({ text }) => /https?:|\/\/[a-z]|@import/i.test(text)).map(({ path }) => path)).toEqual([]);
});

test("the page has no script or style of its own between its lines", () => {
  const html = readProjectFile("src/ui/page.html");
  expect(html).not.toMatch(/<style|style=|\son\w+=|<script(?![^>]*src=)/i);
});
