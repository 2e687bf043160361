import { basename } from "node:path";

const COMMANDS = "/dist/cli/commands.js";

/**
 * One file with all that `cardea proxy` loads, beside the modules that tsc wrote: to find and link two hundred modules takes
 * a sidecar longer than Node's own start. Names stay as they are, for stacks; `const` stays const, for the compiler.
 */
export default {
  input: "dist/main.js",
  platform: "node",
  external: isOtherCommand,
  plugins: [{ name: "one-command", transform: importProxy }],
  output: {
    // Beside version.js, which looks for package.json from where it stands.
    file: "dist/cli/sidecar.js",
    codeSplitting: false,
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
    paths: (id) => (isOtherCommand(id) ? `./${basename(id)}` : id),
  },
};

/** What the table of commands would load: never called for in a sidecar, and left where it is. */
function isOtherCommand(id, importer) {
  return (importer === undefined || importer.endsWith(COMMANDS)) && /\/(?!proxy|command)[a-z-]+\.js$/.test(id);
}

/** The one command is there from the start: imported when asked for, every module of it would become a function. */
function importProxy(code, id) {
  if (!id.endsWith(COMMANDS)) return null;
  const loading = '(await import("./proxy.js")).command';
  if (!code.includes(loading)) throw new Error(`${COMMANDS} does not load proxy.js as expected`);
  return `import { command as proxy } from "./proxy.js";\n${code.replace(loading, "proxy")}`;
}
