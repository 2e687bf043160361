import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { type Fault, locatePlain } from "../../src/core/located.ts";
import { JWT_RULE } from "../../src/policy/authentication/jwt-rule.ts";
import { parseKeySet } from "../../src/policy/authentication/key-set.ts";
import { parseToken } from "../../src/policy/authentication/token.ts";
import { claimTextOf } from "../../src/policy/matcher.ts";
import { verifyToken } from "../../src/policy/authentication/verify-token.ts";

// Tokens, and the key sets beside them, as a library makes them that is not ours: PyJWT with its cryptography.

const PYTHON = process.env["JWT_PYTHON"] ?? "";
const NOW_MS = Date.now();

const MAKE = `
import json, sys, jwt
from jwt.algorithms import RSAAlgorithm, ECAlgorithm, OKPAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa, ec, ed25519
now = int(sys.argv[1])
rsa_key, weak_key = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 1024)
keys = {"rsa": (rsa_key, RSAAlgorithm), "weak": (weak_key, RSAAlgorithm), "p256": (ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
  "p384": (ec.generate_private_key(ec.SECP384R1()), ECAlgorithm), "p521": (ec.generate_private_key(ec.SECP521R1()), ECAlgorithm),
  "ed": (ed25519.Ed25519PrivateKey.generate(), OKPAlgorithm)}
jwks = {"keys": [dict(json.loads(alg.to_jwk(key.public_key())), kid=kid) for kid, (key, alg) in keys.items()]}
claims = {"iss": "https://id.example", "sub": "\\u00e5lice", "exp": now + 600, "aud": ["orders"], "groups": ["admin"]}
def made(kid, alg, key=None, **changes):
  body = {k: v for k, v in dict(claims, **changes).items() if v is not None}
  return jwt.encode(body, key or keys[kid][0], algorithm=alg, headers={"kid": kid})
good = {alg: made(kid, alg) for kid, alg in [("rsa", "RS256"), ("rsa", "RS384"), ("rsa", "RS512"), ("rsa", "PS256"), ("rsa", "PS384"),
  ("rsa", "PS512"), ("p256", "ES256"), ("p384", "ES384"), ("p521", "ES512"), ("ed", "EdDSA")]}
shared = "a secret of enough letters for it"
bad = {"no algorithm": jwt.encode(claims, None, algorithm="none"), "a shared secret": jwt.encode(claims, shared, algorithm="HS256", headers={"kid": "rsa"}),
  "another key of its name": made("rsa", "RS256", rsa.generate_private_key(65537, 2048)),
  "another curve than its key's": made("p384", "ES256", keys["p256"][0]), "a key that is too short": made("weak", "RS256"),
  "an end that is past": made("rsa", "RS256", exp=now - 60), "no end": made("rsa", "RS256", exp=None),
  "a beginning that is to come": made("ed", "EdDSA", nbf=now + 600), "another issuer": made("p256", "ES256", iss="https://other.example"),
  "other audiences": made("p256", "ES256", aud="others"), "a signature that was changed": made("p256", "ES256")[:-8] + "AAAAAAAA"}
print(json.dumps({"jwks": jwks, "good": good, "bad": bad}))
`;

interface Made {
  readonly jwks: unknown;
  readonly good: Readonly<Record<string, string>>;
  readonly bad: Readonly<Record<string, string>>;
}

function make(): Made {
  const made = spawnSync(PYTHON, ["-c", MAKE, String(Math.floor(NOW_MS / 1_000))], {
    encoding: "utf8",
    timeout: 60_000,
  });
  expect(made.stderr.replaceAll(/.*Warning.*\n.*\n/g, "")).toBe("");
  return JSON.parse(made.stdout) as Made;
}

function ruleFor(jwks: unknown) {
  const faults: Fault[] = [];
  const located = locatePlain({ issuer: "https://id.example", audiences: ["orders"], jwksUri: "https://id.example/k" });
  const rule = JWT_RULE(located, { file: "r", field: "", faults });
  expect(faults).toEqual([]);
  return { rule: rule!, isExpirationRequired: true, keys: parseKeySet(JSON.stringify(jwks)) };
}

describe.skipIf(PYTHON === "")("tokens of PyJWT (needs JWT_PYTHON, a Python with the package pyjwt[crypto])", () => {
  it("are believed in every algorithm that is taken, and refused whatever else is wrong with them", async () => {
    const { jwks, good, bad } = make();
    const rule = ruleFor(jwks);
    const verify = async (text: string) => {
      try {
        const token = parseToken(text);
        await verifyToken(token, [rule], NOW_MS);
        return claimTextOf(token.claims, "sub");
      } catch (thrown) {
        return (thrown as { readonly code?: string }).code ?? String(thrown);
      }
    };
    const outcomes = async (tokens: Readonly<Record<string, string>>) =>
      Object.fromEntries(
        await Promise.all(Object.entries(tokens).map(async ([name, text]) => [name, await verify(text)] as const)),
      );
    expect(await outcomes(good)).toEqual(Object.fromEntries(Object.keys(good).map((name) => [name, "ålice"])));
    const refused = Object.fromEntries(Object.keys(bad).map((name) => [name, "token-invalid"]));
    expect(await outcomes(bad)).toEqual({ ...refused, "other audiences": "token-audience" });
    expect([Object.keys(good).length, Object.keys(bad).length]).toEqual([10, 11]);
  });
});
