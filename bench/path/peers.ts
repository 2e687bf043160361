import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CALLER_ID, SERVER_DNS, SERVER_ID } from "./certificates.ts";
import {
  CACHE,
  fetchEnvoy,
  fetchGhostunnel,
  fetchPackaged,
  GHOSTUNNEL_VERSION,
  type Program,
  type ProgramSource,
} from "./programs.ts";
import type { Carried } from "./side.ts";

export type Role = "caller" | "server";

/** Another product that can stand on both sides of a mutual TLS connection. */
export interface Peer {
  readonly name: string;
  readonly source: ProgramSource;
  /** What its two sidecars speak with each other. */
  readonly between: "h2" | "http/1.1" | "TLS";
  /** Templates in peers/ that are filled for a role; the first is the configuration, the others are beside it. */
  readonly templates: (role: Role) => readonly string[];
  /** What it carries, as this build of it can; with the reasons for what it can't. */
  readonly carries: (program: Program) => { readonly kinds: readonly Carried[]; readonly lacks: readonly string[] };
  /** A plain port of it speaks either HTTP/1.1 or HTTP/2. */
  readonly hasOwnGrpcPort: boolean;
  /** Brings in what the found program lacks. Never fails: what is still lacking, `carries` tells. */
  readonly complete?: (program: Program) => Promise<void>;
  /** Values of its own for the templates. */
  readonly values: (program: Program) => Readonly<Record<string, string>>;
  /** Its words; the values are those of the templates. */
  readonly words: (role: Role, configFile: string, values: Readonly<Record<string, string>>) => readonly string[];
}

const ALL: readonly Carried[] = ["http", "grpc", "tcp", "fresh"];
const WITHOUT_GRPC: readonly Carried[] = ["http", "tcp", "fresh"];
const TCP_ONLY: readonly Carried[] = ["tcp", "fresh"];

const NO_VALUES = (): Readonly<Record<string, string>> => ({});

/** The TCP side of nginx is a package of its own. */
const NGINX_PACKAGES = ["nginx", "libnginx-mod-stream"];

const envoy: Peer = {
  name: "envoy",
  source: {
    name: "envoy",
    variable: "ENVOY",
    versionWords: ["--version"],
    versionPattern: /\/(\d+\.\d+\.\d+)\//,
    fetch: fetchEnvoy,
  },
  between: "h2",
  templates: (role) => [`envoy-${role}.yaml`],
  hasOwnGrpcPort: false,
  carries: () => ({ kinds: ALL, lacks: [] }),
  values: NO_VALUES,
  // A base id of its own for each, or the second would take the first for the one that it replaces.
  words: (_, file) => ["-c", file, "--use-dynamic-base-id", "--log-level", "error", "--concurrency", "2"],
};

function haproxy(name: string, between: "h2" | "http/1.1"): Peer {
  return {
    name,
    source: {
      name: "haproxy",
      variable: "HAPROXY",
      versionWords: ["-v"],
      versionPattern: /version (\d[\w.]*)/,
      fetch: () => fetchPackaged("haproxy", ["haproxy"]),
    },
    between,
    templates: (role) => [`haproxy-${role}.conf`],
    hasOwnGrpcPort: false,
    // A call's status stands in trailers, and both directions may flow at once: HTTP/1.1 between can't promise that.
    carries: () => (between === "h2" ? { kinds: ALL, lacks: [] } : { kinds: WITHOUT_GRPC, lacks: [] }),
    values: () => ({ ALPN: between }),
    words: (_, file) => ["-db", "-f", file],
  };
}

const nginx: Peer = {
  name: "nginx",
  source: {
    name: "nginx",
    variable: "NGINX",
    versionWords: ["-v"],
    versionPattern: /nginx\/(\d[\w.]*)/,
    fetch: () => fetchPackaged("nginx", NGINX_PACKAGES),
  },
  between: "http/1.1",
  templates: (role) => [`nginx-${role}.conf`, `nginx-${role}-stream.conf`],
  hasOwnGrpcPort: true,
  async complete(program) {
    if (findNginxStream(program) === null) await fetchPackaged("nginx", NGINX_PACKAGES).catch(() => "");
  },
  carries: (program) =>
    findNginxStream(program) === null
      ? {
          kinds: ["http", "grpc"],
          lacks: ["it takes no part in TCP: its stream module is missing (Debian: libnginx-mod-stream)"],
        }
      : { kinds: ALL, lacks: [] },
  values(program) {
    const stream = findNginxStream(program);
    return {
      NGINX_MODULE: stream === null || stream === "" ? "" : `load_module ${stream};`,
      NGINX_STREAM: stream === null ? "" : "include *-stream.conf;",
    };
  },
  words: (_, file) => ["-c", file, "-p", join(file, "..")],
};

const ghostunnel: Peer = {
  name: "ghostunnel",
  source: {
    name: "ghostunnel",
    variable: "GHOSTUNNEL",
    versionWords: ["--version"],
    // Built from its module, it says nothing better of itself.
    versionPattern: /rev (\S+)/,
    fetchedVersion: GHOSTUNNEL_VERSION,
    fetch: fetchGhostunnel,
  },
  between: "TLS",
  templates: () => [],
  hasOwnGrpcPort: false,
  carries: () => ({ kinds: TCP_ONLY, lacks: [] }),
  values: NO_VALUES,
  words: (role, _, values) => [
    role === "server" ? "server" : "client",
    `--cacert=${values["CERTIFICATES"]}/root.pem`,
    // Its client wants a DNS name even where it is told the SPIFFE ID to expect.
    `--keystore=${values["CERTIFICATES"]}/${role === "server" ? "server-named" : "caller"}-both.pem`,
    `--status=127.0.0.1:${values["ADMIN"]}`,
    ...(role === "server"
      ? [
          `--listen=127.0.0.1:${values["SERVER_TCP"]}`,
          `--target=127.0.0.1:${values["BACKEND_TCP"]}`,
          `--allow-uri=${CALLER_ID}`,
        ]
      : [
          `--listen=127.0.0.1:${values["CALLER_TCP"]}`,
          `--target=127.0.0.1:${values["SERVER_TCP"]}`,
          `--override-server-name=${SERVER_DNS}`,
          `--verify-uri=${SERVER_ID}`,
        ]),
  ],
};

/** In the order of the table. */
export const PEERS: readonly Peer[] = [
  envoy,
  haproxy("haproxy-h1", "http/1.1"),
  haproxy("haproxy-h2", "h2"),
  nginx,
  ghostunnel,
];

/** The module that carries TCP: "" where it is built in, a path where it is to be loaded, null where there is none. */
function findNginxStream({ program, version }: Program): string | null {
  const built = spawnSync(program, ["-V"], { encoding: "utf8" }).stderr ?? "";
  if (/--with-stream(?=\s|$)/.test(built)) return "";
  const usual = /--modules-path=(\S+)/.exec(built)?.[1] ?? "/usr/lib/nginx/modules";
  const fetched = join(CACHE, "debian", "nginx");
  const told = spawnSync(join(fetched, "nginx"), ["-v"], { encoding: "utf8" }).stderr ?? "";
  // A module fits the version that it was built for.
  const isSame = told.trim().endsWith(`/${version}`);
  const places = isSame ? [usual, join(fetched, "root", "usr", "lib", "nginx", "modules")] : [usual];
  return places.map((place) => join(place, "ngx_stream_module.so")).find(existsSync) ?? null;
}
