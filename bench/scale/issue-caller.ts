import { ISTIO_CERTIFICATE_REQUEST } from "../../src/api/messages.ts";
import { CREATE_CERTIFICATE } from "../../src/api/methods.ts";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { createSigningRequest } from "../../src/pki/csr.ts";
import { generateKeyPair } from "../../src/pki/keys.ts";
import { CONTROL_NAME, openControlConnection } from "../../src/proxy/calls/control-connection.ts";
import { callUnary } from "../../src/proxy/calls/unary-call.ts";
import type { IssueAnswer, IssueOrder } from "./issue.ts";
import { joinAll } from "./joining.ts";

// Sidecars that ask for certificates as fast as they get them, each two at a time on one connection.

const CALLS_AT_ONCE = 2;
/** Keys cost as much as certificates; the authority does not look whether it has seen one. */
const KEYS = 64;

process.once("message", (order: IssueOrder) => {
  void run(order).then((answer) => process.send!(answer, () => process.exit(0)));
});

async function run(order: IssueOrder): Promise<IssueAnswer> {
  const network = createSocketNetwork();
  const place = { address: order.control.address, spiffeId: parseSpiffeId(order.control.spiffeId) };
  const joined = await joinAll({ ...order, control: place, network });
  const signal = new AbortController().signal;
  const connections = await Promise.all(
    joined.map(({ identity }) =>
      openControlConnection(
        { control: place, bundles: identity.bundles, identity, network, clock: systemClock },
        signal,
      ),
    ),
  );
  const requests = joined.slice(0, KEYS).map(({ about }) => {
    const csr = createSigningRequest(generateKeyPair(), about.spiffeId);
    return ISTIO_CERTIFICATE_REQUEST.serialize({ csr, validityDuration: 3_600 });
  });
  process.send!({ at: "joined" });
  const startMs = performance.now();
  const endMs = startMs + order.seconds * 1_000;
  const latenciesMs: number[] = [];
  let failed = 0;
  const lanes = connections.flatMap(({ channel }, index) =>
    Array.from({ length: CALLS_AT_ONCE }, async () => {
      const message = requests[index % requests.length]!;
      while (performance.now() < endMs) {
        const beganMs = performance.now();
        const about = {
          path: CREATE_CERTIFICATE,
          authority: CONTROL_NAME,
          metadata: [],
          timeoutMs: 10_000,
          clock: systemClock,
        };
        const outcome = await callUnary(channel, message, about, signal);
        if (outcome.at === "answered") latenciesMs.push(performance.now() - beganMs);
        else failed += 1;
      }
    }),
  );
  await Promise.all(lanes);
  const seconds = (performance.now() - startMs) / 1_000;
  return { at: "done", issued: latenciesMs.length, failed, seconds, latenciesMs };
}
