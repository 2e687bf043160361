import type { Address, Clock, Network, Random, TlsMaterial } from "../../core/ports.ts";
import { spiffeIdFor, type TrustDomain } from "../../core/spiffe-id.ts";
import { createIntermediate, createLeaf, createRoot } from "../../pki/certificate-build.ts";
import { encodePrivateKey, generateKeyPair } from "../../pki/keys.ts";
import { encodePem } from "../../pki/pem.ts";
import { type Exchange, exchange } from "./exchange.ts";

/**
 * The breach of web: what code that runs in web's place can try. It has what web's app has (the sidecar's outbound
 * port and the loopback interface) and neither web's key nor its certificate, which never leave the sidecar.
 */
export interface BreachTarget {
  /** Web's own sidecar. */
  readonly outbound: Address;
  /** The inbound port of payments' sidecar, for trying to go around our own. */
  readonly payments: Address;
  readonly trustDomain: TrustDomain;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Attempt {
  readonly name: string;
  /** What is tried, for people. */
  readonly tries: string;
  run(target: BreachTarget): Promise<Exchange>;
  /** Whether the answer shows that it got through. */
  succeeded(answer: string): boolean;
}

/** Each must be denied, and each denial must have a record that explains it. */
export const ATTEMPTS: readonly Attempt[] = [
  {
    name: "admin-path",
    tries: "read payments' admin page",
    run: (target) => throughSidecar(target, "GET http://payments.payments:8080/admin/refunds"),
    succeeded: isAnswered,
  },
  {
    name: "ledger-directly",
    tries: "open a connection to the ledger, past payments",
    run: (target) =>
      send(target, target.outbound, [head("CONNECT ledger.ledger:7000", "ledger.ledger:7000"), "BALANCE shop\n"]),
    succeeded: (answer) => answer.includes("BALANCE "),
  },
  {
    name: "forged-identity",
    tries: "order a payment as orders, by a forged x-forwarded-client-cert",
    run: (target) =>
      throughSidecar(target, "POST http://payments.payments:8080/payments", [
        `x-forwarded-client-cert: By=spiffe://${target.trustDomain}/ns/payments/sa/payments;Hash=0;URI=${ordersId(target)}`,
      ]),
    succeeded: isAnswered,
  },
  {
    name: "foreign-certificate",
    tries: "call payments as orders, with a certificate of another authority",
    run: (target) =>
      send(target, target.payments, [plainRequest()], {
        context: target.network.createTlsContext(forgeMaterial(target)),
        alpn: ["http/1.1"],
        sni: "outbound_.8080_._.payments.payments.svc.cluster.local",
      }),
    succeeded: isAnswered,
  },
  {
    name: "plaintext",
    tries: "call payments without TLS",
    run: (target) => send(target, target.payments, [plainRequest()]),
    succeeded: isAnswered,
  },
  ...[
    "/orders/../internal/export",
    "/orders/%2e%2e/internal/export",
    "//internal/export",
    "/orders\\..\\internal/export",
  ].map(
    (path): Attempt => ({
      name: `path-trick ${path}`,
      tries: `reach orders' internal export as ${path}`,
      run: (target) => throughSidecar(target, `GET http://orders.shop:8080${path}`),
      succeeded: isAnswered,
    }),
  ),
];

/** A 2xx is the prize; a 404 means that the request got as far as the app. */
function isAnswered(answer: string): boolean {
  return /^HTTP\/1\.1 (2\d\d|404) /.test(answer);
}

function ordersId(target: BreachTarget): string {
  return spiffeIdFor(target.trustDomain, "shop", "orders");
}

/** In forward-proxy form, as any program sends it that obeys http_proxy. */
function throughSidecar(target: BreachTarget, start: string, headers: readonly string[] = []): Promise<Exchange> {
  const authority = /^\S+ http:\/\/([^/\\]+)/.exec(start)![1]!;
  return send(target, target.outbound, [
    head(start, authority, [...headers, "content-length: 0", "connection: close"]),
  ]);
}

function plainRequest(): string {
  return head("GET /admin/refunds", "payments.payments:8080", ["connection: close"]);
}

function head(start: string, authority: string, headers: readonly string[] = []): string {
  return [`${start} HTTP/1.1`, `host: ${authority}`, ...headers, "", ""].join("\r\n");
}

function send(
  target: BreachTarget,
  to: Address,
  parts: readonly string[],
  tls?: NonNullable<Parameters<typeof exchange>[1]["tls"]>,
): Promise<Exchange> {
  const { network, clock } = target;
  return exchange(to, { network, clock, parts, ...(tls === undefined ? {} : { tls }) });
}

const HOUR_MS = 3_600_000;

/** Everything about it is right, but nobody in the mesh knows the root. */
function forgeMaterial({ trustDomain, clock, random }: BreachTarget): TlsMaterial {
  const nowMs = clock.wallMs();
  const validity = { notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs + HOUR_MS };
  const bytes = (count: number): Buffer => random.bytes(count);
  const root = createRoot(trustDomain, generateKeyPair(), validity, bytes);
  const intermediate = createIntermediate(root, trustDomain, { keys: generateKeyPair(), validity, random: bytes });
  const own = generateKeyPair();
  const spiffeId = spiffeIdFor(trustDomain, "shop", "orders");
  const leaf = createLeaf(intermediate, { spiffeId, publicKey: own.publicKey, validity }, bytes);
  const chain = [leaf, intermediate.certificate.der].map((der) => encodePem("CERTIFICATE", der));
  return {
    chainPem: chain.join(""),
    keyPem: encodePrivateKey(own.privateKey),
  };
}
