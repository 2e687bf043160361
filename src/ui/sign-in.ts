import { remember } from "./browser.ts";
import { el } from "./dom.ts";

/** Asks for a reader's token; it stays in this tab until it is closed, and goes nowhere but to the control plane. */
export function signIn(onToken: () => void): HTMLElement {
  const input = el("input", { type: "password", id: "token", name: "token", autocomplete: "off", spellcheck: "false" });
  const form = el(
    "form",
    {
      class: "sign-in",
      on: {
        submit: (event) => {
          event.preventDefault();
          remember("token", input.value.trim());
          onToken();
        },
      },
    },
    el("h2", {}, "Who reads the map?"),
    el("p", {}, "This map is for readers with a token. It is kept until this tab is closed."),
    el("label", { for: "token" }, "Token"),
    input,
    el("button", { type: "submit", class: "button" }, "Open the map"),
  );
  return el("div", { class: "cover" }, form);
}
