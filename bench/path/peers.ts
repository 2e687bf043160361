import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Certificates, writeCertificates } from "./certificates.ts";
import { type Child, findFreePorts, startChild } from "./child.ts";
import { awaitFirstAnswer, awaitListening } from "./first-answer.ts";
import { readAgeMs } from "./process-times.ts";
import { RULE_METHODS, RULE_PATHS } from "./rules.ts";
import type { Absent, RunningSide, SideSetting } from "./side.ts";

/** Another product that can stand on both sides of a mutual TLS connection. */
export interface Peer {
  readonly name: string;
  readonly program: string;
  /** What its two sidecars speak with each other. */
  readonly between: "h2" | "http/1.1";
  /** Environment variable that names its program where it is not on the path. */
  readonly variable: string;
  readonly versionWords: readonly string[];
  readonly versionPattern: RegExp;
  /** Ending of its two templates, peers/<product>-{caller,server}.<ending>. */
  readonly templates: string;
  readonly hasTcp: boolean;
  /** Its words for a configuration file. */
  readonly words: (configFile: string) => readonly string[];
}

const envoy = {
  program: "envoy",
  variable: "ENVOY",
  versionWords: ["--version"],
  versionPattern: /\/(\d+\.\d+\.\d+)\//,
  hasTcp: true,
  // A base id of its own for each, or the second would take the first for the one that it replaces.
  words: (file: string) => ["-c", file, "--use-dynamic-base-id", "--log-level", "error", "--concurrency", "2"],
};

const haproxy = {
  program: "haproxy",
  templates: "haproxy-*.conf",
  variable: "HAPROXY",
  versionWords: ["-v"],
  versionPattern: /version (\d[\w.]*)/,
  hasTcp: true,
  words: (file: string) => ["-db", "-f", file],
};

/** In the order of the table. */
export const PEERS: readonly Peer[] = [
  { name: "envoy", between: "h2", templates: "envoy-*.yaml", ...envoy },
  { name: "haproxy-h1", between: "http/1.1", ...haproxy },
  { name: "haproxy-h2", between: "h2", ...haproxy },
  {
    name: "nginx",
    program: "nginx",
    between: "http/1.1",
    variable: "NGINX",
    versionWords: ["-v"],
    versionPattern: /nginx\/(\d[\w.]*)/,
    templates: "nginx-*.conf",
    // Its TCP side is a module that many builds leave out.
    hasTcp: false,
    words: (file: string) => ["-c", file, "-p", join(file, "..")],
  },
];

/** Where the peer's program is, and which version; or why it can't take part. */
export function findPeer(peer: Peer): { readonly program: string; readonly version: string } | Absent {
  const program = process.env[peer.variable] ?? peer.program;
  const said = spawnSync(program, [...peer.versionWords], { encoding: "utf8", timeout: 20_000 });
  const version = peer.versionPattern.exec(`${said.stdout ?? ""}${said.stderr ?? ""}`)?.[1];
  if (version !== undefined) return { program, version };
  return { absent: `no program ${program} that tells its version (set ${peer.variable})` };
}

/** Starts the peer's two sidecars. Errors: with what they printed, when no request comes through. */
export async function openPeer(
  peer: Peer,
  { program, version }: { readonly program: string; readonly version: string },
  setting: SideSetting,
): Promise<RunningSide> {
  const directory = setting.directory;
  const certificates = writeCertificates(join(directory, "certificates"));
  const ports = (await findFreePorts(6)) as [number, number, number, number, number, number];
  const values = { ...templateValues(setting, certificates, ports), ALPN: peer.between };
  const start = (role: "server" | "caller"): Child => {
    const own = join(directory, role);
    mkdirSync(own, { recursive: true });
    const template = peer.templates.replace("*", role);
    const file = join(own, template);
    const text = readFileSync(join(import.meta.dirname, "peers", template), "utf8");
    writeFileSync(
      file,
      fillTemplate(text, { ...values, DIR: own, ADMIN: String(role === "server" ? ports[4] : ports[5]) }),
    );
    return startChild(program, peer.words(file), join(own, "output.log"));
  };
  // HAProxy reads long lists from a file.
  writeFileSync(join(directory, "rules.lst"), haproxyRules(certificates.callerSha1));
  const children = [start("server"), start("caller")];
  const close = async (): Promise<void> => void (await Promise.all(children.map((child) => child.close())));
  const failure = (): string | null => {
    const ended = children.find((child) => child.hasEnded());
    return ended === undefined ? null : `${peer.name} ended: ${ended.output()}`;
  };
  const pids = children.map((child) => child.pid);
  try {
    // Asked before the other side listens, HAProxy would wait a second before it tries again: its pace, not its start.
    await awaitListening(ports[2], failure);
    await awaitFirstAnswer(ports[0], failure);
    const readyMs = readAgeMs(pids);
    return {
      name: peer.name,
      version: `${version}, ${peer.between === "h2" ? "HTTP/2" : "HTTP/1.1"} between`,
      httpPort: ports[0],
      tcpPort: peer.hasTcp ? ports[1] : null,
      pids: () => pids,
      readyMs,
      close,
    };
  } catch (error) {
    await close();
    throw new Error(`${String(error)}\n${children.map((child) => child.output()).join("\n")}`, { cause: error });
  }
}

function templateValues(
  { backends }: SideSetting,
  certificates: Certificates,
  ports: readonly number[],
): Readonly<Record<string, string>> {
  const rules = RULE_PATHS.flatMap((path) => RULE_METHODS.map((method) => ({ path, method })));
  return {
    CALLER_HTTP: String(ports[0]),
    CALLER_TCP: String(ports[1]),
    SERVER_HTTP: String(ports[2]),
    SERVER_TCP: String(ports[3]),
    BACKEND_HTTP: String(backends.httpPort),
    BACKEND_TCP: String(backends.tcpPort),
    CERTIFICATES: certificates.directory,
    CALLER_SHA1: certificates.callerSha1,
    // nginx starts its workers as nobody when it is started by root, and they could not write here.
    NGINX_USER: process.getuid?.() === 0 ? "user root;" : "",
    NGINX_RULES: rules.map(({ method, path }) => `"${certificates.callerSha1} ${method} ${path}" 1;`).join("\n    "),
    ENVOY_RULES: RULE_PATHS.map((path, i) => `"rule-${i}": ${envoyRule(path)}`).join("\n                          "),
  };
}

function haproxyRules(callerSha1: string): string {
  const keys = RULE_PATHS.flatMap((path) =>
    RULE_METHODS.map((method) => `${callerSha1.toUpperCase()}:${method}:${path}`),
  );
  return `${keys.join("\n")}\n`;
}

/** One policy of Envoy's authorization filter. */
function envoyRule(path: string): string {
  const methods = RULE_METHODS.map((method) => ({ header: { name: ":method", string_match: { exact: method } } }));
  const permission = {
    and_rules: { rules: [{ url_path: { path: { exact: path } } }, { or_rules: { rules: methods } }] },
  };
  const principal = { authenticated: { principal_name: { exact: "spiffe://cluster.local/ns/bench/sa/caller" } } };
  return JSON.stringify({ permissions: [permission], principals: [principal] });
}

/** Puts values in place of @NAME@. Errors: for a name that has none. */
export function fillTemplate(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/@([A-Z][A-Z0-9_]*)@/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`the template asks for ${name}, which nobody knows`);
    return value;
  });
}
