import { CardeaError, toCardeaError } from "../core/errors.ts";
import { parseTrustDomain, type SpiffeId, type TrustDomain, trustDomainOf } from "../core/spiffe-id.ts";
import { systemClock } from "../io/clock.ts";
import { readText } from "../io/files.ts";
import { parseTrustBundle, type TrustBundle, type TrustBundles, trustBundlesOf } from "../pki/bundle.ts";
import { parseCertificate } from "../pki/certificate.ts";
import { parsePem } from "../pki/pem.ts";
import { parseSpiffeBundle } from "../pki/spiffe-bundle.ts";
import { svidIdOf } from "../pki/svid.ts";
import { verifyPeerChain } from "../pki/verify.ts";
import type { Command, ExitCode, ParsedArgs, Terminal } from "./command.ts";
import { readTime } from "./time-flag.ts";

/** Whether a chain is a good X.509-SVID, by the very code that a sidecar verifies its peers with. */
export const command: Command = {
  name: "svid verify",
  summary: "verify a certificate chain against trust bundles, offline",
  usage: "cardea svid verify --bundle [TD=]FILE --chain FILE [--time RFC3339] [--trust-domain TD]",
  example: "cardea svid verify --bundle ca/root.pem --chain chain.pem",
  positional: { min: 0, max: 0 },
  flags: [
    {
      name: "bundle",
      value: "[TD=]FILE",
      repeat: true,
      summary:
        "roots of a trust domain, PEM or SPIFFE bundle; without TD= those of --trust-domain, else of the leaf's own",
    },
    { name: "chain", value: "FILE", summary: "what the peer sends: PEM, the leaf first" },
    { name: "time", value: "RFC3339", summary: "as if it were this time" },
    { name: "trust-domain", value: "TD", summary: "the trust domain that the leaf must be of" },
    { name: "profile", value: "spiffe", summary: "by whose rules", default: "spiffe" },
  ],
  run: verifyChain,
};

interface Outcome {
  readonly ok: boolean;
  readonly spiffeId: SpiffeId | null;
  readonly code: string | null;
  /** Why not, or null. */
  readonly reason: string | null;
  /** When the first certificate of the chain ends. */
  readonly notAfter: string | null;
}

async function verifyChain(args: ParsedArgs, terminal: Terminal): Promise<ExitCode> {
  if (args.flag("profile") !== "spiffe")
    throw new CardeaError("bad-input", `--profile: expected spiffe, found ${JSON.stringify(args.flag("profile"))}`);
  const chainFile = args.flag("chain");
  if (chainFile === undefined) throw new CardeaError("bad-input", "--chain FILE is missing");
  if (args.flags("bundle").length === 0) throw new CardeaError("bad-input", "--bundle [TD=]FILE is missing");
  const asked = args.flag("trust-domain");
  const trustDomain = asked === undefined ? null : parseTrustDomain(asked);
  const nowMs = readTime(args.flag("time"), systemClock);
  const chain = chainIn(await readText(chainFile));
  const bundles = await readBundles(args.flags("bundle"), trustDomain ?? leafDomain(chain));
  const outcome = outcomeOf(chain, bundles, { trustDomain, nowMs });
  terminal.stdout(JSON.stringify(outcome));
  return outcome.ok ? 0 : 1;
}

/** Null: it cannot be read, which is a finding, not bad input. Keys beside the certificates are passed over. */
function chainIn(text: string): readonly Buffer[] | null {
  try {
    return parsePem(text).flatMap(({ label, der }) => (label === "CERTIFICATE" ? [der] : []));
  } catch {
    return null;
  }
}

function leafDomain(chain: readonly Buffer[] | null): TrustDomain | null {
  const [leaf] = chain ?? [];
  if (leaf === undefined) return null;
  try {
    return trustDomainOf(svidIdOf(parseCertificate(leaf)));
  } catch {
    return null;
  }
}

/** `otherwise`: whose a bundle without a name is; null when nobody can tell, and the leaf is none anyway. */
async function readBundles(words: readonly string[], otherwise: TrustDomain | null): Promise<TrustBundles> {
  const bundles: TrustBundle[] = [];
  for (const word of words) {
    const [, name, file] = /^(?:([^=/]+)=)?(.+)$/s.exec(word)!;
    const trustDomain = name === undefined ? otherwise : parseTrustDomain(name);
    const text = await readText(file!);
    if (trustDomain === null) continue;
    const bundle = parseBundle(trustDomain, text, file!);
    if (bundle !== null) bundles.push(bundle);
  }
  return trustBundlesOf(...bundles);
}

function parseBundle(trustDomain: TrustDomain, text: string, file: string): TrustBundle | null {
  try {
    return text.trimStart().startsWith("{")
      ? parseSpiffeBundle(trustDomain, text).x509
      : parseTrustBundle(trustDomain, text);
  } catch (thrown) {
    throw new CardeaError("bad-input", `${file}: ${toCardeaError(thrown).message}`, thrown);
  }
}

interface Expectation {
  readonly trustDomain: TrustDomain | null;
  readonly nowMs: number;
}

function outcomeOf(chain: readonly Buffer[] | null, bundles: TrustBundles, expected: Expectation): Outcome {
  try {
    if (chain === null) throw new CardeaError("peer-identity-invalid", "the chain is no PEM text");
    const { spiffeId, notAfterMs } = verifyPeerChain(chain, bundles, expected.nowMs);
    if (expected.trustDomain !== null && trustDomainOf(spiffeId) !== expected.trustDomain)
      throw new CardeaError("peer-identity-mismatch", `${spiffeId} is not of trust domain ${expected.trustDomain}`);
    return { ok: true, spiffeId, code: null, reason: null, notAfter: new Date(notAfterMs).toISOString() };
  } catch (thrown) {
    const { code, message } = toCardeaError(thrown);
    if (code === "internal") throw thrown;
    return { ok: false, spiffeId: null, code, reason: message, notAfter: null };
  }
}
