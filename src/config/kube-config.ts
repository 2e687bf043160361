import { dirname, isAbsolute, join } from "node:path";
import { CardeaError } from "../core/errors.ts";
import type { KubeConnection, KubeCredential, TextSource } from "../core/kube.ts";
import { type Fault, formatFault, type Located } from "../core/located.ts";
import { lookUp } from "../core/schema.ts";
import { parseYaml } from "./yaml.ts";

/** Where the kubelet puts a pod's credential. */
const ACCOUNT_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount";

type Environment = Readonly<Record<string, string | undefined>>;

/** The API server of the cluster that we run in, or null when the environment names none. */
export function inClusterConnection(env: Environment): KubeConnection | null {
  const host = env["KUBERNETES_SERVICE_HOST"];
  const port = env["KUBERNETES_SERVICE_PORT"];
  if (host === undefined || host === "" || port === undefined || port === "") return null;
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    ca: { file: `${ACCOUNT_DIRECTORY}/ca.crt` },
    credential: { kind: "token", token: { file: `${ACCOUNT_DIRECTORY}/token` } },
  };
}

/**
 * A kubeconfig's current context. Programs that fetch credentials (`exec`) are not run: a file must not start one.
 * Errors: `bad-input`.
 */
export function parseKubeconfig(text: string, file: string): KubeConnection {
  const faults: Fault[] = [];
  const [document] = parseYaml(text, file, faults);
  if (faults.length > 0) throw new CardeaError("bad-input", faults.map(formatFault).join("\n"));
  const read = new KubeconfigReader(document, file);
  const context = read.named("contexts", "context", read.text(document, "current-context", "current-context"));
  const cluster = read.named("clusters", "cluster", read.text(context, "cluster", "context.cluster"));
  const user = read.named("users", "user", read.text(context, "user", "context.user"));
  const server = read.text(cluster, "server", "cluster.server");
  if (!/^https:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/.test(server)) throw read.fault("cluster.server is no https address");
  if (lookUp(cluster ?? NOTHING, "insecure-skip-tls-verify") !== null)
    throw read.fault("insecure-skip-tls-verify is refused: whoever answered would get our credential");
  return {
    server: server.replace(/\/+$/, ""),
    ca: read.source(cluster, "certificate-authority"),
    credential: read.credential(user),
  };
}

const NOTHING: Located = { kind: "map", at: null, entries: [] };

class KubeconfigReader {
  readonly #document: Located | undefined;
  readonly #file: string;

  constructor(document: Located | undefined, file: string) {
    this.#document = document;
    this.#file = file;
  }

  fault(message: string): CardeaError {
    return new CardeaError("bad-input", `${this.#file}: ${message}`);
  }

  optional(from: Located | undefined, key: string): string | null {
    const value = from === undefined ? null : lookUp(from, key);
    return value?.kind === "scalar" && typeof value.value === "string" && value.value !== "" ? value.value : null;
  }

  text(from: Located | undefined, key: string, field: string): string {
    const found = this.optional(from, key);
    if (found === null) throw this.fault(`${field} is missing`);
    return found;
  }

  named(listKey: string, itemKey: string, name: string): Located {
    const list = this.#document === undefined ? null : lookUp(this.#document, listKey);
    const items = list?.kind === "list" ? list.items : [];
    const found = items.find((item) => this.optional(item, "name") === name);
    const value = found === undefined ? null : lookUp(found, itemKey);
    if (value === null) throw this.fault(`${listKey} has no ${JSON.stringify(name)}`);
    return value;
  }

  /** `<key>-data` in base64, or `<key>`, a file beside the kubeconfig. */
  source(from: Located, key: string): TextSource | null {
    const data = this.optional(from, `${key}-data`);
    if (data !== null) return { text: Buffer.from(data, "base64").toString("utf8") };
    const path = this.optional(from, key);
    if (path === null) return null;
    return { file: isAbsolute(path) ? path : join(dirname(this.#file), path) };
  }

  credential(user: Located): KubeCredential {
    const token = this.optional(user, "token");
    if (token !== null) return { kind: "token", token: { text: token } };
    const file = this.optional(user, "tokenFile");
    if (file !== null) return { kind: "token", token: { file } };
    const cert = this.source(user, "client-certificate");
    const key = this.source(user, "client-key");
    if (cert !== null && key !== null) return { kind: "certificate", cert, key };
    throw this.fault("the user has neither a token nor a client certificate; exec and auth-provider are not supported");
  }
}
