import type { Certificates } from "./certificates.ts";
import { CALLER_ID } from "./certificates.ts";
import { RULE_METHODS, RULE_PATHS } from "./rules.ts";
import type { SideSetting } from "./side.ts";

/** Ports of one peer: where its caller's sidecar takes each kind, where its server's does, and where each shows itself. */
export interface PeerPorts {
  readonly callerHttp: number;
  /** For those whose plain port speaks one version of HTTP alone. */
  readonly callerGrpc: number;
  readonly callerTcp: number;
  readonly serverHttp: number;
  readonly serverGrpc: number;
  readonly serverTcp: number;
  readonly serverAdmin: number;
  readonly callerAdmin: number;
}

/** Puts values in place of @NAME@. Errors: for a name that has none. */
export function fillTemplate(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/@([A-Z][A-Z0-9_]*)@/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`the template asks for ${name}, which nobody knows`);
    return value;
  });
}

/** What the peers' configurations leave open: ports, files, and the hundred rules in each product's own words. */
export function templateValues(
  { backends }: SideSetting,
  certificates: Certificates,
  ports: PeerPorts,
): Readonly<Record<string, string>> {
  const rules = RULE_PATHS.flatMap((path) => RULE_METHODS.map((method) => ({ path, method })));
  return {
    CALLER_HTTP: String(ports.callerHttp),
    CALLER_GRPC: String(ports.callerGrpc),
    CALLER_TCP: String(ports.callerTcp),
    SERVER_HTTP: String(ports.serverHttp),
    SERVER_GRPC: String(ports.serverGrpc),
    SERVER_TCP: String(ports.serverTcp),
    BACKEND_HTTP: String(backends.httpPort),
    BACKEND_GRPC: String(backends.grpcPort),
    BACKEND_TCP: String(backends.tcpPort),
    CERTIFICATES: certificates.directory,
    CALLER_SHA1: certificates.callerSha1,
    // nginx starts its workers as nobody when it is started by root, and they could not write here.
    NGINX_USER: process.getuid?.() === 0 ? "user root;" : "",
    NGINX_RULES: rules.map(({ method, path }) => `"${certificates.callerSha1} ${method} ${path}" 1;`).join("\n    "),
    ENVOY_RULES: RULE_PATHS.map((path, i) => `"rule-${i}": ${envoyRule(path)}`).join("\n                          "),
  };
}

/** A list of its own, which HAProxy reads from a file. */
export function haproxyRules(callerSha1: string): string {
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
  const principal = { authenticated: { principal_name: { exact: CALLER_ID } } };
  return JSON.stringify({ permissions: [permission], principals: [principal] });
}
