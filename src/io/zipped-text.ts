import { readFile, stat } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { CardeaError } from "../core/errors.ts";

const unzip = promisify(gunzip);

/** A text file, or one that gzip made smaller, of at most so many bytes unpacked. Errors: `bad-input`. */
export async function readTextMaybeZipped(path: string, bytesMax: number): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > bytesMax) throw new CardeaError("bad-input", `${path} is larger than ${bytesMax} bytes`);
    const bytes = await readFile(path);
    const isZipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
    return (isZipped ? await unzip(bytes, { maxOutputLength: bytesMax }) : bytes).toString("utf8");
  } catch (error) {
    if (error instanceof CardeaError) throw error;
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    const reason =
      code === "ENOENT"
        ? "no such file"
        : code === "ERR_BUFFER_TOO_LARGE"
          ? `it unpacks to more than ${bytesMax} bytes`
          : code;
    throw new CardeaError("bad-input", `${path} cannot be read: ${reason}`, error);
  }
}
