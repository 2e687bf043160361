import { randomBytes } from "node:crypto";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect as connectPlain } from "node:net";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadMeshApi } from "../../../src/api/load.ts";
import { callerOf } from "../../../src/control/grpc-server.ts";
import { parseSpiffeId } from "../../../src/core/spiffe-id.ts";
import { createSigningRequest } from "../../../src/pki/csr.ts";
import { encodePrivateKey, generateKeyPair } from "../../../src/pki/keys.ts";
import { encodePem, parsePem } from "../../../src/pki/pem.ts";
import { createLeaf } from "../../../src/pki/certificate-build.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import type { Identity } from "../../../src/proxy/identity/identity.ts";
import { acceptChain } from "../../../src/proxy/identity/accept-chain.ts";
import { createSimulatedClock } from "../../support/simulated-clock.ts";
import { createTestAuthority } from "../../support/test-authority.ts";
import { startTestControl, type TestControl } from "../../support/test-control.ts";

const WEB = parseSpiffeId("spiffe://cluster.local/ns/shop/sa/web");

let control: TestControl;

beforeAll(async () => {
  control = await startTestControl();
});

afterAll(() => control.close());

interface Call {
  readonly own?: { readonly chainPem: string; readonly keyPem: string };
  readonly authorization?: string;
  readonly csr?: string;
  readonly ttlSec?: number;
}

type Outcome = { readonly chain: readonly string[] } | { readonly code: status; readonly details: string };

/** One call over the library's own TLS client, so that nothing of ours stands between it and the server. */
function call({ own, authorization, csr, ttlSec }: Call, target = control): Promise<Outcome> {
  const roots = Buffer.from(target.authority.bundle.pem);
  const key = own === undefined ? null : Buffer.from(own.keyPem);
  const chain = own === undefined ? null : Buffer.from(own.chainPem);
  const tls = credentials.createSsl(roots, key, chain, { checkServerIdentity: () => undefined });
  const client = new Client(`127.0.0.1:${target.address.port}`, tls, { "grpc.ssl_target_name_override": "control" });
  const metadata = new Metadata();
  if (authorization !== undefined) metadata.set("authorization", authorization);
  const { path, requestSerialize, responseDeserialize } = loadMeshApi().certificates.CreateCertificate;
  const message = { csr: csr ?? createSigningRequest(generateKeyPair(), WEB), validityDuration: ttlSec ?? 0 };
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      message,
      metadata,
      { deadline: Date.now() + 5_000 },
      (error: ServiceError | null, answer) => {
        client.close();
        resolve(error === null ? { chain: answer?.certChain ?? [] } : { code: error.code, details: error.details });
      },
    );
  });
}

async function identityOf(spiffeId: string): Promise<Identity> {
  const keys = generateKeyPair();
  const id = parseSpiffeId(spiffeId);
  const outcome = await call({
    authorization: `Bearer ${await control.mint(spiffeId)}`,
    csr: createSigningRequest(keys, id),
  });
  const chain = "chain" in outcome ? outcome.chain : [];
  return acceptChain(chain, { keys, spiffeId: id, bundles: control.bundles, nowMs: Date.now() });
}

function leafIdOf(outcome: Outcome): readonly string[] | status {
  if ("code" in outcome) return outcome.code;
  return parseCertificate(parsePem(outcome.chain[0]!)[0]!.der).uris;
}

describe("CreateCertificate", () => {
  it("answers a join token with a chain, leaf first and root last", async () => {
    const outcome = await call({ authorization: `Bearer ${await control.mint(WEB)}` });
    expect(leafIdOf(outcome)).toEqual([WEB]);
    const chain = "chain" in outcome ? outcome.chain : [];
    expect(chain).toHaveLength(3);
    expect(chain[2]).toBe(control.authority.bundle.pem);
  });

  it("renews by the certificate of the connection", async () => {
    const { material } = await identityOf(WEB);
    expect(leafIdOf(await call({ own: material }))).toEqual([WEB]);
  });

  it("gives the attested identity, whatever the request names, and logs what it ignored", async () => {
    const wanted = parseSpiffeId("spiffe://cluster.local/ns/cardea-system/sa/cardea-control");
    const { material } = await identityOf(WEB);
    const before = control.log.lines.length;
    expect(leafIdOf(await call({ own: material, csr: createSigningRequest(generateKeyPair(), wanted) }))).toEqual([
      WEB,
    ]);
    expect(control.log.lines.slice(before)).toMatchObject([
      { event: "csr-sans-ignored", fields: { spiffeId: WEB, count: 1 } },
      { event: "svid-issued", fields: { spiffeId: WEB, attestation: "svid" } },
    ]);
  });

  it.each<[string, () => Promise<Call> | Call]>([
    ["nothing to prove the caller", () => ({})],
    ["a token that was never minted", () => ({ authorization: "Bearer abc" })],
    ["a token without Bearer", async () => ({ authorization: await control.mint(WEB) })],
    [
      "a wrong token beside a good certificate",
      async () => ({ own: (await identityOf(WEB)).material, authorization: "Bearer abc" }),
    ],
  ])("refuses %s", async (_what, make) => {
    expect(await call(await make())).toMatchObject({ code: status.UNAUTHENTICATED });
  });

  it("refuses a token the second time", async () => {
    const authorization = `Bearer ${await control.mint(WEB)}`;
    expect(leafIdOf(await call({ authorization }))).toEqual([WEB]);
    expect(leafIdOf(await call({ authorization }))).toBe(status.UNAUTHENTICATED);
  });

  it.each([
    ["a request that is none", { csr: "hello" }],
    ["a negative validity", { ttlSec: -5 }],
  ])("refuses %s", async (_what, more) => {
    const { material } = await identityOf(WEB);
    expect(await call({ own: material, ...more })).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it("keeps a token that came with a malformed request", async () => {
    const authorization = `Bearer ${await control.mint(WEB)}`;
    expect(await call({ authorization, csr: "hello" })).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(leafIdOf(await call({ authorization }))).toEqual([WEB]);
  });

  it("tells a caller nothing about a fault of ours", async () => {
    const broken = await startTestControl({ issue: async () => Promise.reject(new Error("secret path /x")) });
    const outcome = await call({ authorization: `Bearer ${await broken.mint(WEB)}` }, broken);
    expect(outcome).toMatchObject({ code: status.UNAVAILABLE });
    expect(JSON.stringify(outcome)).not.toContain("/x");
    expect(broken.log.lines.at(-1)).toMatchObject({ event: "svid-refused", fields: { message: "secret path /x" } });
    await broken.close();
  });
});

describe("the control plane's listener ends the connection of a caller", () => {
  it("with a certificate of another authority of the same name", async () => {
    const stranger = createTestAuthority().issue(WEB);
    expect(await call({ own: stranger.material })).toMatchObject({ code: status.UNAVAILABLE });
    expect(control.log.lines.at(-1)).toMatchObject({
      event: "control-caller-refused",
      fields: { code: "peer-certificate-untrusted" },
    });
  });

  it("with a certificate that has ended", async () => {
    const keys = generateKeyPair();
    const { issuer } = await control.authority.signer();
    const validity = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() - 2_000 };
    const leaf = createLeaf(issuer, { spiffeId: WEB, publicKey: keys.publicKey, validity }, randomBytes);
    const chainPem = encodePem("CERTIFICATE", leaf) + encodePem("CERTIFICATE", issuer.certificate.der);
    const outcome = await call({ own: { chainPem, keyPem: encodePrivateKey(keys.privateKey) } });
    expect(outcome).toMatchObject({ code: status.UNAVAILABLE });
    expect(control.log.lines.at(-1)).toMatchObject({
      event: "control-caller-refused",
      fields: { code: "peer-certificate-expired" },
    });
  });

  it("that speaks plaintext", async () => {
    const socket = connectPlain(control.address.port, "127.0.0.1");
    socket.end("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    await new Promise((resolve) => socket.once("close", resolve));
    expect(control.log.events()).toContain("control-handshake-failed");
  });

  it.each<[string, ConnectionOptions]>([
    ["that knows no TLS 1.3", { maxVersion: "TLSv1.2", ALPNProtocols: ["h2"] }],
    ["that wants another protocol", { ALPNProtocols: ["http/1.1"] }],
  ])("%s", async (_what, options) => {
    const socket = connectTls({ port: control.address.port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
    const outcome = await new Promise((resolve) => {
      socket.once("secureConnect", () => resolve("connected"));
      socket.once("error", () => resolve("refused"));
    });
    socket.destroy();
    expect(outcome).toBe("refused");
  });
});

describe("openGrpcServer", () => {
  it("says that a port is taken", async () => {
    await expect(startTestControl({ port: control.address.port })).rejects.toMatchObject({ code: "unreachable" });
  });

  it("ends connections that do not end by themselves, when it closes, and takes no new ones", async () => {
    const target = await startTestControl();
    const session = connectAs(target, null);
    session.on("error", () => undefined);
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    const gone = new Promise((resolve) => session.once("close", resolve));
    await target.close();
    await gone;
    await expect(call({ authorization: "Bearer x" }, target)).resolves.toMatchObject({ code: status.UNAVAILABLE });
  });
});

describe("a connection to the control plane", () => {
  it.each([
    ["ends when the certificate that made it ends", 60_000, true],
    ["without a certificate ends after half a minute", 30_000, false],
  ])("%s, and not before", async (_what, lifeMs, hasCertificate) => {
    const clock = createSimulatedClock(Date.now());
    const target = await startTestControl({ clock });
    const session = connectAs(target, hasCertificate ? await issueOwn(target, 60) : null);
    // The server's SETTINGS: it has taken the connection.
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    await clock.advance(lifeMs - 2_000);
    expect(session.closed).toBe(false);
    const goneAway = new Promise((resolve) => session.once("goaway", resolve));
    await clock.advance(3_000);
    await goneAway;
    session.destroy();
    await target.close();
  });

  it("sees the certificate that the control plane renewed", async () => {
    // The test's own client goes by the machine's clock, so the renewed certificate must be valid now.
    const clock = createSimulatedClock(Date.now() - 31 * 60_000);
    const target = await startTestControl({ clock });
    const before = await serialSeen(target);
    await clock.advance(31 * 60_000);
    expect(await serialSeen(target)).not.toBe(before);
    await target.close();
  });
});

function connectAs(target: TestControl, own: { chainPem: string; keyPem: string } | null): ClientHttp2Session {
  const ours = own === null ? {} : { cert: own.chainPem, key: own.keyPem };
  const options = { ca: target.authority.bundle.pem, checkServerIdentity: () => undefined, ...ours };
  return connectHttp2(`https://127.0.0.1:${target.address.port}`, options);
}

async function serialSeen(target: TestControl): Promise<string> {
  const session = connectAs(target, null);
  await new Promise((resolve) => session.once("connect", resolve));
  const { serialNumber } = (session.socket as TLSSocket).getPeerCertificate();
  session.destroy();
  return serialNumber;
}

async function issueOwn(target: TestControl, ttlSec: number): Promise<{ chainPem: string; keyPem: string }> {
  const keys = generateKeyPair();
  const { chainDer } = await target.issue({ spiffeId: WEB, publicKey: keys.publicKey, ttlSec });
  const chainPem = chainDer.slice(0, -1).map((der) => encodePem("CERTIFICATE", der));
  return { chainPem: chainPem.join(""), keyPem: encodePrivateKey(keys.privateKey) };
}

describe("callerOf", () => {
  it("is null for metadata that did not come through the server, whatever it says", () => {
    const metadata = new Metadata();
    metadata.set("x-forwarded-client-cert", `URI=${WEB}`);
    expect(callerOf({ metadata })).toBeNull();
  });
});
