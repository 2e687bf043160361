#!/bin/sh
":" //; node --version >/dev/null 2>&1 || { echo "cardea: no usable Node runtime on this machine (needs Linux with glibc or macOS, x64 or arm64; see README.md)" >&2; exit 2; }; exec node "$0" "$@"
// The line above is a shell command to sh, and a string with a comment to Node: on Alpine (musl) the runtime package is
// there but cannot start, and then nothing written in JavaScript could say so. (biome.json leaves this file alone.)
//
// Plain old JavaScript from here on, so that an old Node can read it far enough to say that it is too old.
var fs = require("fs");
var path = require("path");

var MAJOR_NEEDED = 26;

function refuse(why) {
  process.stderr.write("cardea: " + why + "\n");
  process.exit(2);
}

function mainFile() {
  var root = path.join(__dirname, "..");
  var source = path.join(root, "src", "main.ts");
  // A checkout runs its sources; the published package and the image hold dist/ alone.
  if (fs.existsSync(source)) return source;
  // The same program with a sidecar's modules in one file.
  if (process.argv[2] === "proxy") return path.join(root, "dist", "cli", "sidecar.js");
  return path.join(root, "dist", "main.js");
}

var major = Number(process.versions.node.split(".")[0]);
if (process.platform !== "linux" && process.platform !== "darwin") {
  refuse("runs on Linux and macOS, not on " + process.platform + " (see README.md)");
} else if (major < MAJOR_NEEDED) {
  refuse(
    "needs Node " +
      MAJOR_NEEDED +
      ", this is " +
      process.version +
      "; npm brings the right one along: run `npm ci`, then `npx cardea` or `npm start`",
  );
} else {
  var main = mainFile();
  // As if it had been started directly: main looks at its own place for the processes that it starts.
  process.argv[1] = main;
  import(require("url").pathToFileURL(main).href).catch(function (error) {
    process.stderr.write("cardea: " + (error && error.stack ? error.stack : String(error)) + "\n");
    process.exit(2);
  });
}
