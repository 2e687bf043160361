import { GET_BUNDLE, NEW_JWT_SVID } from "../../src/api/methods.ts";
import { BUNDLE, NEW_JWT_SVID_REQUEST, NEW_JWT_SVID_RESPONSE } from "../../src/api/workload-messages.ts";
import { createJwtIssuer, type IssueJwt } from "../../src/control/ca/jwt-issue.ts";
import { JwtKeys } from "../../src/control/ca/jwt-keys.ts";
import { LIMITS } from "../../src/core/limits.ts";
import type { Clock } from "../../src/core/ports.ts";
import { trustDomainOf } from "../../src/core/spiffe-id.ts";
import type { CallControl } from "../../src/proxy/calls/control-call.ts";
import { createKeptLog } from "./kept-log.ts";
import { createMemoryStateFiles } from "./memory-state-files.ts";

/** The control plane's tokens and keys, without the way there. */
export interface TokenControl {
  readonly call: CallControl;
  readonly keys: JwtKeys;
  readonly issue: IssueJwt;
  /** Paths of the calls so far. */
  readonly calls: string[];
}

export function createTokenControl(clock: Clock): TokenControl {
  const keys = new JwtKeys({ files: createMemoryStateFiles(), clock, logger: createKeptLog() });
  const issue = createJwtIssuer({ keys, clock });
  const calls: string[] = [];
  return {
    keys,
    issue,
    calls,
    async call(path, message, identity) {
      calls.push(path);
      if (path === GET_BUNDLE) {
        const jwtAuthorities = (await keys.published()).map(({ keyId, publicKey }) => ({ keyId, publicKey }));
        const refreshHint = LIMITS.bundleRefreshMs / 1_000;
        const sequenceNumber = keys.sequence();
        return BUNDLE.serialize({ trustDomain: "cluster.local", jwtAuthorities, refreshHint, sequenceNumber });
      }
      if (path !== NEW_JWT_SVID) throw new Error(`nobody answers ${path}`);
      const { audience } = NEW_JWT_SVID_REQUEST.deserialize(message);
      const { spiffeId } = identity!;
      const { token, expiresAtSec } = await issue({ spiffeId, audiences: audience });
      const trustDomain = trustDomainOf(spiffeId);
      const id = { trustDomain, path: spiffeId.slice(`spiffe://${trustDomain}`.length) };
      return NEW_JWT_SVID_RESPONSE.serialize({ svid: { token, id, expiresAt: expiresAtSec } });
    },
  };
}
