// Preloaded by --import into a process under test: writes the URL of every module that it loads, one a line, into the
// file that LOADED_MODULES names. Plain JavaScript, so that it loads nothing itself.
import { appendFileSync } from "node:fs";
import { registerHooks } from "node:module";

const file = process.env["LOADED_MODULES"];
registerHooks({
  load(url, context, next) {
    appendFileSync(file, `${url}\n`);
    return next(url, context);
  },
});
