/**
 * How our roles run on Node, wherever it is that we start them: `cardea up` on a machine, the image in a cluster. Each of
 * these was measured, and where it was is said there.
 */
export const RUNTIME = {
  flags: [
    /** No debugger can be opened in a process that holds keys by sending it a signal. */
    "--disable-sigusr1",
    /**
     * MiB for each half of the young generation, not Node's 32. It must hold what the requests of some 10 ms leave behind:
     * with 2 MiB most of what was under way was carried over to the old generation, which grew by it, and a GET cost the
     * pair of sidecars a fifth more. Beyond 8 there is little left to gain (docs/adr/0012-what-a-request-leaves-behind.md).
     */
    "--max-semi-space-size=8",
  ],
  env: {
    NODE_NO_WARNINGS: "1",
    /**
     * glibc gives threads arenas of their own, and keeps what is freed in each. With one for all, a sidecar had 10 MiB
     * less after bodies of 64 KiB and 17 less after GETs over 200 connections, at the same processor time.
     */
    MALLOC_ARENA_MAX: "1",
  },
} as const;

const NODE = "/usr/local/bin/node";

/**
 * What injection, installation and whoever writes a manifest may rely on of the image. The Dockerfile says the same.
 */
export const IMAGE = {
  /** Without a registry, as nobody publishes it: whoever builds it pushes it to their own, under this name. */
  name: "cardea",
  /** The version of package.json; a release has no other tags. A digest may stand instead, as `cardea@sha256:…`. */
  tag: "0.1.0",
  /** Takes the words of the command line: `proxy`, `control --kubernetes`, `redirect …`. There is no shell. */
  entrypoint: [NODE, ...RUNTIME.flags, "/cardea/bin/cardea.js"],
  /** The program without the flags, for what runs beside the role in its container: `ready` as hook or health check. */
  program: [NODE, "/cardea/dist/main.js"],
  env: RUNTIME.env,
  /** The user of the control plane, and of everything that is not told another. The sidecar is given 1337, redirect 0. */
  user: { uid: 65_532, gid: 65_532 },
  platforms: ["linux/amd64", "linux/arm64"],
} as const;

/** `cardea:0.1.0`, or in a registry `registry.example/cardea:0.1.0`. */
export function imageReference(registry = ""): string {
  return `${registry === "" ? "" : `${registry}/`}${IMAGE.name}:${IMAGE.tag}`;
}
