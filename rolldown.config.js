import { basename } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * One file with all that `cardea proxy` loads: to find and link two hundred modules takes a sidecar longer than Node's own
 * start. The build makes it of dist/, `cardea up` in a checkout of src/ (src/cli/local/bundle-sidecar.ts). Names stay as they
 * are, for stacks; `const` stays const, for the compiler.
 */
export default {
  input: "dist/main.js",
  platform: "node",
  external: (id, importer) => id === VERIFIER || isOtherCommand(id, importer),
  plugins: [{ name: "one-command", transform }],
  output: {
    // Beside version.js, which looks for package.json from where it stands.
    file: "dist/cli/sidecar.js",
    format: "esm",
    codeSplitting: false,
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
    paths: (id) => (id === VERIFIER ? placeOfVerifier() : isOtherCommand(id) ? `./${basename(id)}` : id),
  },
};

/** What verifies tokens stays a package, loaded with the first rule for any. */
const VERIFIER = "jose";

/** From a state directory packages are not to be found by name; there it is the checkout's own. */
function placeOfVerifier() {
  return process.argv.includes("src/main.ts") ? import.meta.resolve(VERIFIER) : VERIFIER;
}

const COMMANDS = /\/(?:src|dist)\/cli\/commands\.[jt]s$/;
const ROOMS =
  /\/(?:src|dist)\/(?:cli\/(?:proxy|sidecar-admin|workload-socket)|proxy\/(?:inbound|sidecar|discovery\/policy-sinks))\.[jt]s$/;
const FINDS_FILES = /\/src\/(?:cli\/version|io\/koffi)\.ts$/;

/** What the table of commands would load: never called for in a sidecar, and left where it is. */
function isOtherCommand(id, importer) {
  return (importer === undefined || COMMANDS.test(importer)) && /\/(?!proxy|command)[a-z-]+\.[jt]s$/.test(id);
}

function transform(code, id) {
  if (COMMANDS.test(id)) return importProxy(code);
  if (ROOMS.test(id)) return importAll(code);
  // Made of the sources, the file lies in a state directory, from where neither package.json nor packages are to be found.
  if (FINDS_FILES.test(id)) return code.replaceAll("import.meta.url", JSON.stringify(pathToFileURL(id).href));
  return null;
}

/** The one command is there from the start: imported when asked for, every module of it would become a function. */
function importProxy(code) {
  const loading = /\(await import\("(\.\/proxy\.[jt]s)"\)\)\.command/;
  const [whole, file] = loading.exec(code) ?? [];
  if (whole === undefined) throw new Error("the table of commands does not load proxy as expected");
  return `import { command as proxy } from "${file}";\n${code.replace(whole, "proxy")}`;
}

/** What a sidecar loads on demand is in the one file anyway, and for the reason above it is there from the start. */
function importAll(code) {
  const imports = [];
  const whole = code.replaceAll(/\bimport\(("[^"]+")\)/g, (_call, file) => {
    imports.push(`import * as onDemand${imports.length} from ${file};`);
    return `Promise.resolve(onDemand${imports.length - 1})`;
  });
  if (imports.length === 0) throw new Error("nothing is loaded on demand where it was");
  return `${imports.join("\n")}\n${whole}`;
}
