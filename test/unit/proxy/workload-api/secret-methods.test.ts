import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, test, vi } from "vitest";
import { SECRET, SPIFFE_VALIDATOR_CONFIG } from "../../../../src/api/secret-messages.ts";
import { CardeaError } from "../../../../src/core/errors.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import { trustBundlesOf } from "../../../../src/pki/bundle.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";
import { createTestAuthority } from "../../../support/test-authority.ts";
import {
  APP_ID,
  converse,
  type ServedApi,
  type ServedApiOptions,
  secretClient,
  serveWorkloadApi,
  unaryOf,
} from "../../../support/workload-api.ts";

const SECRET_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const ENVOY = { id: "e", userAgentBuildVersion: { version: { majorNumber: 1, minorNumber: 36, patch: 0 } } };

interface Any {
  readonly type_url: string;
  readonly value: Buffer;
}
interface World {
  readonly versionInfo: string;
  readonly resources: readonly Any[];
  readonly nonce: string;
  readonly typeUrl: string;
}
interface Delta {
  readonly resources: readonly { readonly name: string; readonly version: string; readonly resource: Any }[];
  readonly removedResources: readonly string[];
  readonly nonce: string;
}

let served: ServedApi;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function serve(options: ServedApiOptions = {}) {
  served = await serveWorkloadApi(options);
  const client = secretClient(served.path);
  cleanups.push(
    () => served.close(),
    () => client.close(),
  );
  return {
    stream: () => converse<object, World>(client, "StreamSecrets"),
    delta: () => converse<object, Delta>(client, "DeltaSecrets"),
    fetch: (request: object) => unaryOf<World>(client, "FetchSecrets", request, new Metadata()),
  };
}

function read(any: Any) {
  expect(any.type_url).toBe(SECRET_TYPE);
  return SECRET.deserialize(any.value);
}

function namesIn({ resources }: World): readonly string[] {
  return resources.map((resource) => read(resource).name);
}

describe("StreamSecrets", () => {
  test("gives the identity with its key, as PEM", async () => {
    const { stream } = await serve();
    const call = stream();
    call.send({ resourceNames: ["default"], typeUrl: SECRET_TYPE, node: ENVOY });
    const { resources, typeUrl } = await call.next();
    const { name, tlsCertificate, validationContext } = read(resources[0]!);
    expect({ name, typeUrl, validationContext }).toEqual({
      name: "default",
      typeUrl: SECRET_TYPE,
      validationContext: null,
    });
    expect(String(tlsCertificate?.certificateChain?.inlineBytes)).toMatch(/^-----BEGIN CERTIFICATE-----/);
    expect(String(tlsCertificate?.privateKey?.inlineBytes)).toMatch(/^-----BEGIN PRIVATE KEY-----/);
    expect(String(tlsCertificate?.privateKey?.inlineBytes)).not.toBe(served.sidecar.get()!.material.keyPem);
  });

  test("gives an Envoy its SPIFFE validator, which ties roots to their trust domain", async () => {
    const other = createTestAuthority("partner.example");
    const { stream } = await serve({ federated: [other.bundle] });
    for (const [name, domains] of [
      ["ROOTCA", ["cluster.local"]],
      ["spiffe://partner.example", ["partner.example"]],
      ["ALL", ["cluster.local", "partner.example"]],
    ] as const) {
      const call = stream();
      call.send({ resourceNames: [name], node: ENVOY });
      const { validationContext } = read((await call.next()).resources[0]!);
      const { name: validator, typedConfig } = validationContext!.customValidatorConfig!;
      expect(validator).toBe("envoy.tls.cert_validator.spiffe");
      const { trustDomains } = SPIFFE_VALIDATOR_CONFIG.deserialize(typedConfig!.value);
      expect(trustDomains.map((each) => each.name)).toEqual(domains);
      call.cancel();
    }
    expect(served.asked).toEqual([]);
  });

  test("gives others the roots alone", async () => {
    const { stream } = await serve();
    const call = stream();
    call.send({ resourceNames: ["ROOTCA"] });
    const { validationContext } = read((await call.next()).resources[0]!);
    expect(String(validationContext?.trustedCa?.inlineBytes)).toBe(served.authority.bundle.pem);
  });

  test("gives all to who names none, by SPIFFE IDs", async () => {
    const { stream } = await serve();
    const call = stream();
    call.send({ resourceNames: [] });
    expect(namesIn(await call.next())).toEqual([APP_ID, "spiffe://cluster.local"]);
  });

  test("sends the next identity when it is renewed, and nothing for an acknowledgement or a refusal", async () => {
    const { stream } = await serve();
    const call = stream();
    call.send({ resourceNames: ["default", "ROOTCA"], node: ENVOY });
    const first = await call.next();
    call.send({ resourceNames: ["default", "ROOTCA"], responseNonce: first.nonce, versionInfo: first.versionInfo });
    const refusal = { code: 13, message: "cannot parse" };
    call.send({ resourceNames: ["default", "ROOTCA"], responseNonce: first.nonce, errorDetail: refusal });
    await vi.waitUntil(() => served.log.events().includes("secrets-refused"), 10_000);
    served.api.renew();
    const second = await call.next();
    expect(second.nonce).not.toBe(first.nonce);
    expect(second.versionInfo).not.toBe(first.versionInfo);
    expect(namesIn(second)).toEqual(["default", "ROOTCA"]);
    expect(call.waiting).toBe(0);
  });

  test("follows a change of names, but not one that answers to something older", async () => {
    const { stream } = await serve();
    const call = stream();
    call.send({ resourceNames: ["ROOTCA"] });
    const first = await call.next();
    call.send({ resourceNames: ["ALL"], responseNonce: "0" });
    call.send({ resourceNames: ["spiffe://cluster.local"], responseNonce: first.nonce });
    expect(namesIn(await call.next())).toEqual(["spiffe://cluster.local"]);
  });

  test.each<[string, object, status]>([
    [
      "another workload's identity",
      { resourceNames: ["spiffe://cluster.local/ns/shop/sa/orders"] },
      status.INVALID_ARGUMENT,
    ],
    ["an unknown trust domain", { resourceNames: ["spiffe://other.example"] }, status.INVALID_ARGUMENT],
    ["an unknown name beside a known one", { resourceNames: ["ROOTCA", "x"] }, status.INVALID_ARGUMENT],
    ["resources of another type", { resourceNames: [], typeUrl: "type.googleapis.com/x" }, status.INVALID_ARGUMENT],
    ["very many names", { resourceNames: names(LIMITS.workloadApiSecretsMax + 1) }, status.INVALID_ARGUMENT],
  ])("refuses %s", async (_name, request, code) => {
    const { stream } = await serve();
    const call = stream();
    call.send(request);
    await expect(call.next()).rejects.toMatchObject({ code });
    expect(served.asked).toEqual([]);
  });

  test("ends when the authority does not know the workload, for those who want its identity alone", async () => {
    const { stream } = await serve({
      requestCertificate: () => Promise.reject(new CardeaError("attestation-failed", "gone")),
    });
    const roots = stream();
    roots.send({ resourceNames: ["ROOTCA"] });
    await roots.next();
    const call = stream();
    call.send({ resourceNames: ["default"] });
    await expect(call.next()).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    served.bundles.set(trustBundlesOf(createTestAuthority().bundle));
    expect(namesIn(await roots.next())).toEqual(["ROOTCA"]);
  });

  test("ends, and takes nobody along, when a domain whose roots are asked for is no longer federated", async () => {
    const other = createTestAuthority("partner.example");
    const { stream } = await serve({ federated: [other.bundle] });
    const [one, two] = [stream(), stream()];
    one.send({ resourceNames: ["spiffe://partner.example"] });
    two.send({ resourceNames: ["ROOTCA", "spiffe://cluster.local"] });
    await Promise.all([one.next(), two.next()]);
    served.bundles.set(trustBundlesOf(createTestAuthority().bundle));
    await expect(one.next()).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    await two.next();
  });
});

describe("DeltaSecrets", () => {
  test("gives each secret by its name, and after a change that one alone", async () => {
    const { delta } = await serve();
    const call = delta();
    call.send({ resourceNamesSubscribe: ["default", "ROOTCA"], typeUrl: SECRET_TYPE, node: ENVOY });
    const first = await call.next();
    // The roots may come before the identity has been issued.
    const both = [...first.resources, ...(first.resources.length === 2 ? [] : (await call.next()).resources)];
    expect(both.map(({ name }) => name).toSorted()).toEqual(["ROOTCA", "default"]);
    served.api.renew();
    expect((await call.next()).resources.map(({ name }) => name)).toEqual(["default"]);
  });

  test("does not send again what a caller has from an earlier stream, but what it subscribes to again", async () => {
    const { delta } = await serve();
    const before = delta();
    before.send({ resourceNamesSubscribe: ["ROOTCA"], node: ENVOY });
    const [roots] = (await before.next()).resources;
    const call = delta();
    const initialResourceVersions = { ROOTCA: roots!.version };
    call.send({ resourceNamesSubscribe: ["ROOTCA"], initialResourceVersions, node: ENVOY });
    call.send({ resourceNamesSubscribe: ["ALL"] });
    expect((await call.next()).resources.map(({ name }) => name)).toEqual(["ALL"]);
    call.send({ resourceNamesSubscribe: ["ROOTCA"] });
    expect((await call.next()).resources.map(({ name }) => name)).toEqual(["ROOTCA"]);
  });

  test("says of a name that it is nobody's, and of one that is no more", async () => {
    const other = createTestAuthority("partner.example");
    const { delta } = await serve({ federated: [other.bundle] });
    const call = delta();
    call.send({ resourceNamesSubscribe: ["x", "spiffe://partner.example"] });
    const first = await call.next();
    expect(first.removedResources).toEqual(["x"]);
    expect(first.resources.map(({ name }) => name)).toEqual(["spiffe://partner.example"]);
    served.bundles.set(trustBundlesOf(served.authority.bundle));
    expect((await call.next()).removedResources).toEqual(["spiffe://partner.example"]);
  });

  test("sends nothing of what was unsubscribed from", async () => {
    const { delta } = await serve();
    const call = delta();
    call.send({ resourceNamesSubscribe: ["default"] });
    await call.next();
    call.send({ resourceNamesUnsubscribe: ["default"], resourceNamesSubscribe: ["ROOTCA"] });
    await call.next();
    served.api.renew();
    served.bundles.set(trustBundlesOf(createTestAuthority().bundle));
    expect((await call.next()).resources.map(({ name }) => name)).toEqual(["ROOTCA"]);
  });

  test("refuses very many names, also one by one", async () => {
    const { delta } = await serve();
    const call = delta();
    for (const name of names(LIMITS.workloadApiSecretsMax + 1)) call.send({ resourceNamesSubscribe: [name] });
    const ending = (async () => {
      for (;;) await call.next();
    })();
    await expect(ending).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});

describe("FetchSecrets", () => {
  test("gives what is asked for, once", async () => {
    const { fetch } = await serve();
    expect(namesIn(await fetch({ resourceNames: ["default", "ROOTCA"], node: ENVOY }))).toEqual(["default", "ROOTCA"]);
  });

  test("is refused as Unavailable when the identity does not come for as long as a caller waits", async () => {
    const clock = createSimulatedClock(Date.now());
    const { fetch } = await serve({
      clock,
      requestCertificate: () => Promise.reject(new CardeaError("unreachable", "-")),
    });
    const failed = expect(fetch({ resourceNames: ["default"] })).rejects.toMatchObject({ code: status.UNAVAILABLE });
    while (served.asked.length === 0) await new Promise(setImmediate);
    await clock.advance(LIMITS.workloadApiWaitMs + 1_000);
    await failed;
  });

  test("refuses a name that is nobody's", async () => {
    const { fetch } = await serve();
    await expect(fetch({ resourceNames: ["x"] })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: 'the workload has no secret "x"',
    });
  });
});

function names(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `name-${index}`);
}
