import { open } from "node:fs/promises";
import { CardeaError } from "../core/errors.ts";

/** The lines of a file, one after the other, however large it is. Errors: `bad-input`. */
export async function* readLines(path: string): AsyncIterable<string> {
  try {
    const file = await open(path, "r");
    try {
      for await (const line of file.readLines({ encoding: "utf8" })) yield line;
    } finally {
      await file.close();
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    // What the reader of the lines throws is no fault of the file's.
    if (typeof code !== "string" || !/^E[A-Z]+$/.test(code)) throw error;
    const reason = code === "ENOENT" ? "no such file" : code === "EISDIR" ? "it is a directory" : code;
    throw new CardeaError("bad-input", `${path} cannot be read: ${reason}`, error);
  }
}
