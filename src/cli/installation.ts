import { INSTALL_NAMESPACE } from "../control/install/install-namespace.ts";
import { CardeaError } from "../core/errors.ts";
import { type Fault, formatFault, locatePlain } from "../core/located.ts";
import { NAMESPACE } from "../core/object-metadata.ts";
import type { Flag, ParsedArgs } from "./command.ts";

/** Where it is installed to: install, uninstall, doctor and status mean the same by it. */
export const NAMESPACE_FLAG: Flag = {
  name: "namespace",
  short: "n",
  value: "NAME",
  summary: "of the control plane",
  default: INSTALL_NAMESPACE,
};

export const REVISION_FLAG: Flag = {
  name: "revision",
  value: "NAME",
  summary: "the installation of that name; without it, the one without a name",
};

/** Errors: `bad-input`. */
export function readNamespace(args: ParsedArgs): string {
  return readName(args.flag("namespace") ?? INSTALL_NAMESPACE, "--namespace");
}

/** Null: the installation without a name. Errors: `bad-input`. */
export function readRevision(args: ParsedArgs): string | null {
  const named = args.flag("revision");
  return named === undefined ? null : readName(named, "--revision");
}

function readName(text: string, file: string): string {
  const faults: Fault[] = [];
  const name = NAMESPACE(locatePlain(text), { file, field: "", faults });
  if (name === undefined) throw new CardeaError("bad-input", faults.map(formatFault).join("\n"));
  return name;
}
