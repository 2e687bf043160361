import { createHash } from "node:crypto";
import { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Random } from "../../core/ports.ts";
import { type SpiffeId, parseSpiffeId } from "../../core/spiffe-id.ts";
import type { StateFiles } from "../../core/state-files.ts";

export interface JoinTokenRequest {
  readonly spiffeId: SpiffeId;
  /** Left out: `joinTokenTtlMs`. */
  readonly ttlMs?: number;
}

interface JoinTokenPorts {
  readonly files: StateFiles;
  readonly clock: Clock;
  readonly random: Random;
}

/** Long enough for any token, short enough to hash without a thought. */
const TOKEN_CHARACTERS_MAX = 256;

/**
 * A token that gives one identity once. The state keeps its hash alone: whoever reads the directory later learns no
 * token, whoever may write it can mint one. Errors: `bad-input`.
 */
export async function mintJoinToken(ports: JoinTokenPorts, request: JoinTokenRequest): Promise<string> {
  const token = ports.random.bytes(32).toString("base64url");
  const expiresAtMs = ports.clock.wallMs() + (request.ttlMs ?? LIMITS.joinTokenTtlMs);
  const record = { spiffeId: request.spiffeId, expiresAt: new Date(expiresAtMs).toISOString() };
  await ports.files.write(pathOf(token), `${JSON.stringify(record)}\n`);
  return token;
}

/**
 * Spends a token: of all callers in all processes one gets the identity, the one whose unlink succeeded. Also a token
 * that turns out expired or damaged is gone afterwards. Errors: `attestation-failed`; `bad-input` when the state
 * cannot be read.
 */
export async function spendJoinToken(files: StateFiles, clock: Clock, token: string): Promise<SpiffeId> {
  if (token === "" || token.length > TOKEN_CHARACTERS_MAX) throw refused("the join token is malformed");
  const path = pathOf(token);
  const text = await files.read(path);
  if (text === null || !(await files.remove(path))) throw refused("the join token is not known, or was used before");
  const record = parseRecord(text);
  if (clock.wallMs() >= record.expiresAtMs) throw refused("the join token has expired");
  return record.spiffeId;
}

/** Removes what nobody used in time. Returns how many. Errors: `bad-input`. */
export async function sweepJoinTokens(files: StateFiles, clock: Clock): Promise<number> {
  let removed = 0;
  for (const name of await files.list("join")) {
    const path = `join/${name}`;
    const text = await files.read(path);
    if (text === null || !isOver(text, clock.wallMs())) continue;
    if (await files.remove(path)) removed += 1;
  }
  return removed;
}

function isOver(text: string, nowMs: number): boolean {
  try {
    return parseRecord(text).expiresAtMs <= nowMs;
  } catch {
    return true;
  }
}

function pathOf(token: string): string {
  return `join/${createHash("sha256").update(token).digest("hex")}.json`;
}

function parseRecord(text: string): { readonly spiffeId: SpiffeId; readonly expiresAtMs: number } {
  try {
    const record = JSON.parse(text) as { spiffeId?: unknown; expiresAt?: unknown };
    const expiresAtMs = Date.parse(String(record.expiresAt));
    if (Number.isNaN(expiresAtMs)) throw new Error("expiresAt is no time");
    return { spiffeId: parseSpiffeId(String(record.spiffeId)), expiresAtMs };
  } catch (error) {
    throw refused("the join token's record is damaged", error);
  }
}

function refused(why: string, cause?: unknown): CardeaError {
  return new CardeaError("attestation-failed", why, cause);
}
