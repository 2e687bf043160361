import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { JsonObject } from "../core/json-value.ts";
import type { SpiffeId } from "../core/spiffe-id.ts";
import { systemClock } from "../io/clock.ts";
import { readText } from "../io/files.ts";
import { parseJwks } from "../pki/jwks.ts";
import { verifyClaims, verifyJws } from "../pki/jwt.ts";
import { parseJwtSvid } from "../pki/jwt-svid.ts";
import type { Command, ExitCode, ParsedArgs, Terminal } from "./command.ts";
import { readTime } from "./time-flag.ts";

/** Whether a token is good, by the very code that a sidecar verifies them with. */
export const command: Command = {
  name: "jwt verify",
  summary: "verify a token (compact JWS on stdin) by a key set, offline",
  usage: "cardea jwt verify --jwks FILE [--issuer ISS] [--audience AUD] [--time RFC3339] [--raw]",
  example: "cardea jwt verify --jwks keys.json --audience reports < token.jwt",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "jwks", value: "FILE", summary: "JWK Set with the keys of who issues" },
    { name: "issuer", value: "ISS", repeat: true, summary: "the token's iss must be this, or one of these" },
    { name: "audience", value: "AUD", repeat: true, summary: "the token's aud must have this, or one of these" },
    { name: "time", value: "RFC3339", summary: "as if it were this time" },
    { name: "raw", value: null, summary: "look at the signature alone: any payload, no claims" },
  ],
  run: verifyToken,
};

/** What is found out, as it is printed. */
interface Outcome {
  readonly ok: boolean;
  /** Why not, or null. */
  readonly reason: string | null;
  readonly keyId: string | null;
  readonly header: JsonObject | null;
  readonly claims: JsonObject | null;
  /** When the token is a JWT-SVID. */
  readonly spiffeId: SpiffeId | null;
}

async function verifyToken(args: ParsedArgs, terminal: Terminal): Promise<ExitCode> {
  const file = args.flag("jwks");
  if (file === undefined) throw new CardeaError("bad-input", "--jwks FILE is missing");
  const keys = await readText(file);
  const outcome = outcomeOf(await readToken(terminal), keys, args);
  terminal.stdout(JSON.stringify(outcome));
  return outcome.ok ? 0 : 1;
}

async function readToken(terminal: Terminal): Promise<string> {
  const lines: string[] = [];
  for await (const line of terminal.stdin()) lines.push(line);
  return lines.join("\n").trim();
}

function outcomeOf(token: string, jwks: string, args: ParsedArgs): Outcome {
  const keys = parseJwks(jwks);
  const nowMs = readTime(args.flag("time"), systemClock);
  try {
    const { jws, keyId } = verifyJws(token, keys);
    const known = { ok: true, reason: null, keyId, header: jws.header };
    if (args.isSet("raw")) return { ...known, claims: null, spiffeId: null };
    const expected = { issuers: args.flags("issuer"), audiences: args.flags("audience"), nowMs, skewMs: 0 };
    return { ...known, claims: verifyClaims(jws.payload, expected), spiffeId: spiffeIdIn(token) };
  } catch (thrown) {
    const { code, message } = toCardeaError(thrown);
    if (code !== "token-invalid") throw thrown;
    return { ok: false, reason: message, keyId: null, header: null, claims: null, spiffeId: null };
  }
}

/** Not every token is a workload's. */
function spiffeIdIn(token: string): SpiffeId | null {
  try {
    return parseJwtSvid(token).spiffeId;
  } catch {
    return null;
  }
}
