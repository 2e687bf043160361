import { FlowStore } from "../../src/control/flows/store.ts";
import { toCardeaError } from "../../src/core/errors.ts";
import { openDatabaseFiles } from "../../src/io/database-files.ts";
import { sampleFlow } from "./sample-flow.ts";

// Stores denials in a directory until it is killed or the disk is full, and says after each commit how many there are:
// node flow-writer.ts DIRECTORY. At the end of its disk it says why, and goes on once a line has come.

const [, , directory = ""] = process.argv;
const store = new FlowStore({
  files: openDatabaseFiles(directory, ".db"),
  retentionMs: 86_400_000,
  bytesMax: 1e9,
  nowMs: () => Date.now(),
  log: (_level, event) => process.stdout.write(`${event}\n`),
});

let made = 0;
function write(): void {
  try {
    for (let i = 0; i < 50; i++)
      store.append(sampleFlow({ timeMs: Date.now(), id: (made + i).toString(16).padStart(16, "0") }));
    store.commit();
    made += 50;
    if (made % 500 === 0) store.tend();
    process.stdout.write(`${made}\n`);
    setImmediate(write);
  } catch (thrown) {
    process.stdout.write(`${toCardeaError(thrown).code}\n`);
    process.stdin.once("data", write);
  }
}
write();
