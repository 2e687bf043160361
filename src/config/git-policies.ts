import { isAbsolute } from "node:path";
import { boolean, integer, object, parsed, required, type Schema, string, withDefault } from "../core/schema.ts";

/** A git repository as the source of policies. */
export interface GitPolicies {
  /** https:// or ssh:// (or `user@host:path`); file:// and plain paths only with `allowFile`. */
  readonly url: string;
  /** A branch, a full name (`refs/tags/v1`), or a commit's forty digits. */
  readonly ref: string;
  /** Directory in the repository; `.`: all of it. */
  readonly path: string;
  readonly pollSec: number;
  /** File of ssh's allowed signers (ssh-keygen(1)), absolute: only commits that one of them has signed count. Null: any. */
  readonly allowedSigners: string | null;
  readonly allowFile: boolean;
}

/** What a URL may begin with, whatever git itself would take: `ext::` runs commands, and a dash begins an option. */
const REMOTE = /^(https:\/\/|ssh:\/\/)[^\s\p{Cc}]+$|^[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^\s\p{Cc}-][^\s\p{Cc}]*$/u;
const LOCAL = /^(file:\/\/\/|\/)[^\s\p{Cc}]*$/u;

const URL_TEXT = parsed(string(), (text) => {
  // A password in a file that is read by many, and that status shows: git has better places for it.
  if (/^https:\/\/[^/]*:[^/]*@/.test(text)) throw new Error("must not hold a password: give it to git by a netrc file");
  if (REMOTE.test(text) || LOCAL.test(text)) return text;
  throw new Error(`expected https://…, ssh://… or user@host:path, found ${JSON.stringify(text)}`);
});

const REF = parsed(string(), (text) => {
  const isName = /^[A-Za-z0-9_][\w./-]*$/.test(text) && !/\.\.|\/\/|\.lock$|\/$|@\{/.test(text);
  if (isName) return text;
  throw new Error(`expected a branch, a full reference name or a commit, found ${JSON.stringify(text)}`);
});

const PATH = parsed(string(), (text) => {
  const parts = text.split("/");
  if (
    !isAbsolute(text) &&
    (text === "." || parts.every((part) => part !== "" && part !== "." && part !== "..")) &&
    !text.startsWith(":")
  )
    return text;
  throw new Error(`expected a directory in the repository, found ${JSON.stringify(text)}`);
});

const FILE = parsed(string(), (text) => {
  if (isAbsolute(text)) return text;
  throw new Error(`expected an absolute path, found ${JSON.stringify(text)}`);
});

/** Null is written out where a program writes the settings. */
const FILE_OR_NULL: Schema<string | null> = (value, scope) =>
  value.kind === "scalar" && value.value === null ? null : FILE(value, scope);

const FIELDS = object({
  url: required(URL_TEXT),
  ref: withDefault(REF, "main"),
  path: withDefault(PATH, "policies"),
  pollSec: withDefault(integer({ min: 1, max: 86_400 }), 30),
  allowedSigners: withDefault(FILE_OR_NULL, null),
  allowFile: withDefault(boolean(), false),
});

/** The settings of a git source, in a mesh file and in the control plane's bootstrap. */
export const GIT_POLICIES: Schema<GitPolicies> = (value, scope) => {
  const fields = FIELDS(value, scope);
  if (fields === undefined) return undefined;
  if (fields.allowFile || !LOCAL.test(fields.url)) return fields;
  return parsed<string, GitPolicies>(
    () => fields.url,
    (url) => {
      throw new Error(`${url} is on this machine: allowFile: true says that it is meant`);
    },
  )(value, { ...scope, field: `${scope.field}.url` });
};
