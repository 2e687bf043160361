import { CardeaError, toCardeaError } from "../core/errors.ts";
import { type Fault, formatFault, locatePlain } from "../core/located.ts";
import type { Schema } from "../core/schema.ts";

/** JSON that a program wrote → a T. Errors: `bad-input`, every fault on a line of its own. */
export function parseJsonText<T>(schema: Schema<T>, text: string, file: string): T {
  const faults: Fault[] = [];
  const value = schema(locatePlain(parseJson(text, file)), { file, field: "", faults });
  if (value === undefined) throw new CardeaError("bad-input", faults.map(formatFault).join("\n"));
  return value;
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw new CardeaError("bad-input", `${file}: is not JSON: ${toCardeaError(thrown).message}`, thrown);
  }
}
