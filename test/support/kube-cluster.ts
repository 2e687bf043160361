import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { sign } from "node:crypto";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent, request } from "undici";
import { createKubeCertificates, type KubeCertificates, type PemPair } from "./kube-certificates.ts";
import { type ProgramResult, runProgram } from "./programs.ts";

/**
 * A real kube-apiserver with its etcd on loopback ports, without controllers, scheduler and kubelets: what they would
 * do (default service accounts, EndpointSlices, the status of pods) a test writes itself.
 */
export interface KubeCluster {
  /** `https://127.0.0.1:<port>`; stays the same over restarts. */
  readonly server: string;
  readonly caPem: string;
  readonly admin: PemPair;
  /** A kubeconfig file of the administrator. */
  readonly kubeconfig: string;
  /** For files of the test; goes with the cluster. */
  readonly directory: string;
  /** One request; any status is an answer. By the administrator's certificate, or by a bearer token. */
  call(method: string, path: string, body?: unknown, options?: CallOptions): Promise<KubeAnswer>;
  /** As `call`, but throws unless the status is 2xx; returns the body. */
  must(method: string, path: string, body?: unknown, options?: CallOptions): Promise<AnyObject>;
  /** `kubectl` on PATH, with the administrator's kubeconfig. */
  kubectl(args: readonly string[], input?: string): Promise<ProgramResult>;
  /** Server-side apply by kubectl of objects or of YAML; throws what kubectl says when it fails. */
  apply(documents: string | readonly object[]): Promise<void>;
  /** A namespace with its default service account, as the controllers would make them. */
  namespace(name: string, labels?: Readonly<Record<string, string>>): Promise<void>;
  /** TokenRequest: a token of a service account, bound to a pod if one is named. */
  token(namespace: string, serviceAccount: string, options?: TokenOptions): Promise<string>;
  /** A token with other claims, signed anew by the cluster's own key. */
  resign(token: string, change: (claims: AnyObject) => AnyObject): string;
  /** A kubeconfig file that shows a bearer token instead of the administrator's certificate; of the server, or of what stands before it. */
  kubeconfigOf(token: string, at?: string): string;
  /** Ends the API server; etcd stays. */
  stopServer(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on its port, and waits until it is ready. */
  startServer(): Promise<void>;
  /** Makes etcd forget all history up to now. */
  compact(): Promise<void>;
  /** etcd's own alarm of a full disk: it answers reads, and refuses to write. */
  fillEtcd(isFull: boolean): Promise<void>;
  /** Ends etcd by SIGKILL; its data stays. */
  stopEtcd(): Promise<void>;
  /** Starts it again on its port and data. */
  startEtcd(): Promise<void>;
  /** SIGSTOP and SIGCONT of etcd: a store that has gone deaf. */
  freezeEtcd(isFrozen: boolean): void;
  close(): Promise<void>;
}

export interface KubeAnswer {
  readonly status: number;
  readonly body: AnyObject;
}

// Objects of any kind, looked into by tests.
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyObject = any;

export interface CallOptions {
  readonly contentType?: string;
  readonly token?: string;
}

export interface TokenOptions {
  readonly audiences?: readonly string[];
  readonly pod?: { readonly name: string; readonly uid: string };
  /** The API server gives ten minutes at least. */
  readonly ttlSec?: number;
}

export interface KubeClusterOptions {
  /** More flags of kube-apiserver. */
  readonly flags?: readonly string[];
}

/** Why there can be no cluster here, in words for the name of a skipped suite; null: there can. */
export const whyNoKube: string | null = missingProgram();

function missingProgram(): string | null {
  if (process.env["KUBE_APISERVER"] === undefined) return "KUBE_APISERVER names no kube-apiserver";
  if (process.env["ETCD"] === undefined) return "ETCD names no etcd";
  try {
    execFileSync("kubectl", ["version", "--client"], { stdio: "ignore" });
    return null;
  } catch {
    return "there is no kubectl on PATH";
  }
}

const READY_WITHIN_MS = 90_000;
const PLUGINS = "NamespaceLifecycle,ServiceAccount,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,PodSecurity";

/** Starts one; `close` ends its processes by their ids and removes its directory. */
export async function openKubeCluster(options: KubeClusterOptions = {}): Promise<KubeCluster> {
  if (whyNoKube !== null) throw new Error(`no cluster: ${whyNoKube}`);
  const directory = mkdtempSync(join(tmpdir(), "cardea-kube-"));
  const certificates = createKubeCertificates();
  const [etcdPort, peerPort, serverPort] = [await freePort(), await freePort(), await freePort()];
  const files = writeFiles(directory, certificates);
  const server = `https://127.0.0.1:${serverPort}`;
  const kubeconfig = join(directory, "kubeconfig.json");
  writeFileSync(kubeconfig, kubeconfigText(server, certificates.caPem, { certificate: certificates.admin }));

  const startStore = (): Started =>
    start(process.env["ETCD"]!, etcdArguments(directory, etcdPort, peerPort), directory, "etcd");
  let etcd = startStore();
  const startApi = (): Started =>
    start(
      process.env["KUBE_APISERVER"]!,
      [...serverArguments(files, etcdPort, serverPort), ...(options.flags ?? [])],
      directory,
      "kube-apiserver",
    );
  let api = startApi();
  const { cert, key } = { cert: certificates.admin.certPem, key: certificates.admin.keyPem };
  const asAdmin = new Agent({ connect: { ca: certificates.caPem, cert, key } });
  const byToken = new Agent({ connect: { ca: certificates.caPem } });

  async function call(method: string, path: string, body?: unknown, more: CallOptions = {}): Promise<KubeAnswer> {
    const answer = await request(`${server}${path}`, {
      method: method as "GET",
      headers: {
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": more.contentType ?? "application/json" }),
        ...(more.token === undefined ? {} : { authorization: `Bearer ${more.token}` }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      dispatcher: more.token === undefined ? asAdmin : byToken,
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, body: parsed(text) };
  }

  async function must(method: string, path: string, body?: unknown, more?: CallOptions): Promise<AnyObject> {
    const answer = await call(method, path, body, more);
    if (answer.status >= 200 && answer.status < 300) return answer.body;
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  const kubectl = (args: readonly string[], input?: string): Promise<ProgramResult> =>
    runProgram("kubectl", ["--kubeconfig", kubeconfig, ...args], input);

  async function untilReady(): Promise<void> {
    const deadline = performance.now() + READY_WITHIN_MS;
    while (performance.now() < deadline) {
      if (api.child.exitCode !== null || etcd.child.exitCode !== null) break;
      const isReady = await call("GET", "/readyz").then(
        ({ status }) => status === 200,
        () => false,
      );
      if (isReady) return;
      await pause(100);
    }
    throw new Error(`kube-apiserver is not ready:\n${tail(directory, "kube-apiserver")}\n${tail(directory, "etcd")}`);
  }

  async function close(): Promise<void> {
    await Promise.all([asAdmin.destroy(), byToken.destroy()]);
    await end(api, "SIGKILL");
    etcd.child.kill("SIGCONT");
    await end(etcd, "SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }

  let kubeconfigs = 0;
  const cluster: KubeCluster = {
    server,
    caPem: certificates.caPem,
    admin: certificates.admin,
    kubeconfig,
    directory,
    call,
    must,
    kubectl,
    async apply(documents) {
      const text = typeof documents === "string" ? documents : JSON.stringify(listOf(documents));
      const { code, stderr } = await kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], text);
      if (code !== 0) throw new Error(stderr);
    },
    async namespace(name, labels = {}) {
      await must("POST", "/api/v1/namespaces", { metadata: { name, labels } });
      await must("POST", `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: "default" } });
    },
    async token(namespace, serviceAccount, { audiences, pod, ttlSec } = {}) {
      const bound = pod && { apiVersion: "v1", kind: "Pod", name: pod.name, uid: pod.uid };
      const spec = { audiences, boundObjectRef: bound, expirationSeconds: ttlSec };
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`;
      const { status } = await must("POST", path, { spec });
      return status.token as string;
    },
    resign(token, change) {
      const [head, body] = token.split(".") as [string, string];
      const claims = change(JSON.parse(Buffer.from(body, "base64url").toString("utf8")));
      const text = `${head}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
      return `${text}.${sign("RSA-SHA256", Buffer.from(text), certificates.serviceAccounts.keyPem).toString("base64url")}`;
    },
    kubeconfigOf(token, at = server) {
      const file = join(directory, `kubeconfig-${(kubeconfigs += 1)}.json`);
      writeFileSync(file, kubeconfigText(at, certificates.caPem, { token }));
      return file;
    },
    stopServer: (signal = "SIGKILL") => end(api, signal),
    async startServer() {
      api = startApi();
      await untilReady();
    },
    async compact() {
      const { header } = await askEtcd(etcdPort, "kv/range", { key: Buffer.from("a").toString("base64") });
      await askEtcd(etcdPort, "kv/compaction", { revision: header.revision, physical: true });
    },
    async fillEtcd(isFull) {
      const action = isFull ? "ACTIVATE" : "DEACTIVATE";
      const { header } = await askEtcd(etcdPort, "maintenance/status", {});
      await askEtcd(etcdPort, "maintenance/alarm", { action, memberID: header.member_id, alarm: "NOSPACE" });
    },
    stopEtcd: () => end(etcd, "SIGKILL"),
    async startEtcd() {
      etcd = startStore();
      await untilReady();
    },
    freezeEtcd: (isFrozen) => void etcd.child.kill(isFrozen ? "SIGSTOP" : "SIGCONT"),
    close,
  };
  try {
    await untilReady();
    return cluster;
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** etcd's own gateway from JSON to gRPC. */
async function askEtcd(port: number, path: string, body: object): Promise<AnyObject> {
  const url = `http://127.0.0.1:${port}/v3/${path}`;
  const answer = await request(url, { method: "POST", body: JSON.stringify(body) });
  return answer.body.json();
}

function listOf(items: readonly object[]): object {
  return { apiVersion: "v1", kind: "List", items };
}

interface Started {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
}

function start(program: string, args: readonly string[], directory: string, name: string): Started {
  const log = openSync(join(directory, `${name}.log`), "a");
  const child = spawn(program, [...args], { stdio: ["ignore", log, log] });
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  return { child, exited };
}

async function end({ child, exited }: Started, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  await exited;
}

interface ServerFiles {
  readonly directory: string;
  readonly ca: string;
  readonly serverCert: string;
  readonly serverKey: string;
  readonly accountsKey: string;
}

function writeFiles(directory: string, certificates: KubeCertificates): ServerFiles {
  mkdirSync(join(directory, "etcd"), { mode: 0o700 });
  const put = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  return {
    directory,
    ca: put("ca.crt", certificates.caPem),
    serverCert: put("server.crt", certificates.server.certPem),
    serverKey: put("server.key", certificates.server.keyPem),
    accountsKey: put("accounts.key", certificates.serviceAccounts.keyPem),
  };
}

function etcdArguments(directory: string, port: number, peerPort: number): string[] {
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  return [
    `--data-dir=${join(directory, "etcd")}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    // It is thrown away; waiting for a slow disk would make the tests slow.
    "--unsafe-no-fsync",
  ];
}

function serverArguments(files: ServerFiles, etcdPort: number, port: number): string[] {
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    `--secure-port=${port}`,
    `--cert-dir=${files.directory}`,
    `--tls-cert-file=${files.serverCert}`,
    `--tls-private-key-file=${files.serverKey}`,
    `--client-ca-file=${files.ca}`,
    "--anonymous-auth=false",
    "--authorization-mode=RBAC",
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-key-file=${files.accountsKey}`,
    `--service-account-signing-key-file=${files.accountsKey}`,
    "--api-audiences=https://kubernetes.default.svc",
    "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112",
    `--enable-admission-plugins=${PLUGINS}`,
    "--runtime-config=certificates.k8s.io/v1beta1=true",
    "--feature-gates=ClusterTrustBundle=true",
    "--endpoint-reconciler-type=none",
    "--profiling=false",
  ];
}

type Credential = { readonly certificate: PemPair } | { readonly token: string };

function kubeconfigText(server: string, caPem: string, credential: Credential): string {
  const user =
    "token" in credential
      ? { token: credential.token }
      : {
          "client-certificate-data": base64(credential.certificate.certPem),
          "client-key-data": base64(credential.certificate.keyPem),
        };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server, "certificate-authority-data": base64(caPem) } }],
    users: [{ name: "test", user }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    "current-context": "test",
  });
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function parsed(text: string): AnyObject {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const bound = probe.address();
      probe.close(() => (bound !== null && typeof bound === "object" ? resolve(bound.port) : reject(new Error())));
    });
  });
}

/** Between two questions to the server whether it is ready. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function tail(directory: string, name: string): string {
  return readFileSync(join(directory, `${name}.log`), "utf8")
    .split("\n")
    .slice(-15)
    .join("\n");
}
