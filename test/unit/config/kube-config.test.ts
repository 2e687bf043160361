import { describe, expect, test } from "vitest";
import { inClusterConnection, parseKubeconfig } from "../../../src/config/kube-config.ts";

const CONFIG = {
  apiVersion: "v1",
  kind: "Config",
  "current-context": "here",
  contexts: [{ name: "here", context: { cluster: "c", user: "u" } }],
  clusters: [{ name: "c", cluster: { server: "https://10.0.0.1:6443/", "certificate-authority": "ca.crt" } }],
  users: [{ name: "u", user: { token: "secret" } }],
};

function parse(change: object = {}) {
  return parseKubeconfig(JSON.stringify({ ...CONFIG, ...change }), "/etc/me/config");
}

function withUser(user: object) {
  return { users: [{ name: "u", user }] };
}

function withCluster(cluster: object) {
  return { clusters: [{ name: "c", cluster }] };
}

test("the current context is taken, with files beside the kubeconfig", () => {
  expect(parse()).toEqual({
    server: "https://10.0.0.1:6443",
    ca: { file: "/etc/me/ca.crt" },
    credential: { kind: "token", token: { text: "secret" } },
  });
  const data = { "client-certificate-data": "Y2VydA==", "client-key": "/keys/k" };
  expect(parse(withUser(data)).credential).toEqual({
    kind: "certificate",
    cert: { text: "cert" },
    key: { file: "/keys/k" },
  });
});

describe("a kubeconfig is refused that", () => {
  test.each([
    ["has no context", { "current-context": "" }, "current-context is missing"],
    ["names a context that is not there", { "current-context": "there" }, 'contexts has no "there"'],
    ["names a cluster that is not there", { clusters: [] }, 'clusters has no "c"'],
    ["speaks plain HTTP", withCluster({ server: "http://10.0.0.1" }), "no https address"],
    ["has a password in its address", withCluster({ server: "https://a:b@10.0.0.1" }), "no https address"],
    [
      "does not verify the server",
      withCluster({ server: "https://10.0.0.1", "insecure-skip-tls-verify": true }),
      "insecure-skip-tls-verify is refused",
    ],
    ["starts a program", withUser({ exec: { command: "evil" } }), "exec and auth-provider are not supported"],
    ["has a certificate without a key", withUser({ "client-certificate-data": "eA==" }), "neither a token"],
  ])("%s", (_name, change, message) => {
    expect(() => parse(change)).toThrow(message);
  });

  test("is no YAML", () => {
    expect(() => parseKubeconfig("{", "/x")).toThrow("/x");
  });
});

test("in a cluster the kubelet's files are the credential; elsewhere there is none", () => {
  const env = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" };
  expect(inClusterConnection(env)).toMatchObject({
    server: "https://[fd00::1]:443",
    ca: { file: "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt" },
  });
  expect(inClusterConnection({})).toBeNull();
  expect(inClusterConnection({ KUBERNETES_SERVICE_HOST: "", KUBERNETES_SERVICE_PORT: "443" })).toBeNull();
});
