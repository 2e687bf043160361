import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mintJoinToken } from "../../src/control/ca/join-token.ts";
import { IMAGE } from "../../src/core/image.ts";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSystemRandom } from "../../src/io/random.ts";
import { openStateFiles } from "../../src/io/state-files.ts";
import { type BuiltImage, buildImage, prepareBuildImage, whyNoImage } from "../support/built-image.ts";
import {
  type ContainerSpec,
  killContainer,
  runContainer,
  startContainer,
  whyNoContainers,
} from "../support/container.ts";
import { runProgram } from "../support/programs.ts";

// The image as a node would run it: built from nothing but packages, twice; read-only, without rights, by its own users.

const why = whyNoImage ?? whyNoContainers;
const isOther = process.arch === "arm64" ? "amd64" : "arm64";
const own = process.arch === "arm64" ? "arm64" : "amd64";

let image: BuiltImage;
let other: BuiltImage;
let again: string;

beforeAll(async () => {
  if (why !== null) return;
  const base = await prepareBuildImage();
  const first = await buildImage(base, own);
  again = first.digest;
  await first.close();
  image = await buildImage(base, own);
  other = await buildImage(base, isOther);
}, 1_500_000);
afterAll(async () => {
  await image?.close();
  await other?.close();
}, 60_000);

/** A container of the image with a command's words. */
function container(words: readonly string[], options: Partial<ContainerSpec> = {}): ContainerSpec {
  const env = Object.fromEntries(image.config.config.Env.map((each) => each.split(/=(.*)/s) as [string, string]));
  return { root: image.root, command: [...IMAGE.entrypoint, ...words], env, uid: 1_337, network: null, ...options };
}

function at(port: number) {
  return { host: "127.0.0.1", port };
}

function filesBelow(root: string): readonly string[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" });
}

describe.skipIf(why !== null)(`the image${why === null ? "" : ` (${why})`}`, () => {
  it("is the same when it is built again without anything kept", () => {
    expect(image.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(image.digest).toBe(again);
  });

  it("says what the table says, for either architecture", () => {
    for (const [built, architecture] of [
      [image, own],
      [other, isOther],
    ] as const) {
      expect(built.config.architecture).toBe(architecture);
      expect(built.config.config).toMatchObject({
        Entrypoint: IMAGE.entrypoint,
        User: `${IMAGE.user.uid}:${IMAGE.user.gid}`,
        Labels: { "org.opencontainers.image.version": IMAGE.tag, "org.opencontainers.image.licenses": "Apache-2.0" },
      });
    }
  });

  it("has no shell, no package manager, nothing that grants rights, and nothing that others may write", async () => {
    const files = filesBelow(image.root);
    expect(files).toContain("usr/local/bin/node");
    expect(
      files.filter((path) => /(?:^|\/)(?:ba|da|bu)?(?:sh|sybox|perl|python[\d.]*|apt|dpkg|npm|npx)$/.test(path)),
    ).toEqual(["var/lib/dpkg"]);
    const { stdout } = await runProgram("find", [
      image.root,
      "-perm",
      "/6000",
      "-o",
      "-perm",
      "/0002",
      "!",
      "-type",
      "l",
    ]);
    expect(stdout.trim().split("\n")).toEqual([join(image.root, "tmp")]);
    const rights = await runProgram("getcap", ["-r", image.root]);
    expect({ code: rights.code, stdout: rights.stdout }).toEqual({ code: 0, stdout: "" });
  });

  it("has every library that its programs ask for, for either architecture", async () => {
    for (const { root } of [image, other]) {
      const programs = [
        "usr/local/bin/node",
        "usr/sbin/nft",
        "usr/bin/ip",
        "usr/sbin/xtables-nft-multi",
        "usr/sbin/xtables-legacy-multi",
      ];
      const files = filesBelow(root);
      const libraries = files.filter((path) => /^usr\/lib.*\.so/.test(path) && statSync(join(root, path)).isFile());
      const names = new Set(files.map((path) => path.slice(path.lastIndexOf("/") + 1)));
      for (const path of [...programs, ...libraries]) {
        const { stdout } = await runProgram("readelf", ["-d", join(root, path)]);
        const needed = [...stdout.matchAll(/\(NEEDED\)\s+Shared library: \[(.+)\]/g)].map((match) => match[1]!);
        expect({ path, missing: needed.filter((name) => !names.has(name)) }).toEqual({ path, missing: [] });
      }
    }
  });

  it("holds the packages of its bill of materials, all of them and no others", () => {
    for (const built of [image, other]) {
      const { components, metadata } = JSON.parse(built.readBeside("cdx")) as Bom;
      expect(metadata.component.purl).toContain(encodeURIComponent(built.digest));
      const modules = filesBelow(join(built.root, "cardea/node_modules")).filter((path) =>
        /^(?:[^@/]+|@[^/]+\/[^/]+)\/package\.json$/.test(path),
      );
      const installed = modules.map(
        (path) => JSON.parse(readFileSync(join(built.root, "cardea/node_modules", path), "utf8")) as Named,
      );
      const listed = components.filter(({ purl, type }) => purl.startsWith("pkg:npm/") && type === "library");
      expect(listed.map(nameOf).toSorted()).toEqual(installed.map(nameOf).toSorted());
      const debs = components.filter(({ purl }) => purl.startsWith("pkg:deb/")).map(({ name }) => name);
      expect(debs.toSorted()).toEqual(readdirSync(join(built.root, "var/lib/dpkg/status.d")).toSorted());
    }
  });

  it("its provenance names it, and what it was made of", () => {
    const statement = JSON.parse(image.readBeside("provenance")) as Provenance;
    expect(statement.subject).toEqual([{ name: "cardea", digest: { sha256: image.digest.slice("sha256:".length) } }]);
    const uris = statement.predicate.buildDefinition.resolvedDependencies.map(({ uri }) => uri);
    expect(uris).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^pkg:npm\/koffi@/),
        expect.stringMatching(/^pkg:deb\/debian\/nftables@/),
      ]),
    );
  });

  it.each([[1_337], [65_532]])(
    "starts as user %i, without rights and on a root that it cannot write to",
    async (uid) => {
      expect(await runContainer(container(["--version"], { uid }))).toMatchObject({
        code: 0,
        stdout: `${IMAGE.tag}\n`,
      });
      const write = ["-e", "require('fs').writeFileSync('/cardea/x', '')"];
      const { code, stderr } = await runContainer(container([], { uid, command: [IMAGE.program[0], ...write] }));
      expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("EROFS") as string });
    },
  );

  it("can ask the kernel where a redirected connection was meant to go: koffi loads", async () => {
    const load = [
      "-e",
      "process.exitCode = typeof require('/cardea/node_modules/koffi').load(null).func === 'function' ? 0 : 1",
    ];
    const { code, stderr } = await runContainer(container([], { command: [IMAGE.program[0], ...load] }));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  it.each(["nft", "iptables-nft", "iptables-legacy"])(
    "redirects by its own %s, with NET_ADMIN and NET_RAW alone",
    async (backend) => {
      const rights = { uid: 0, capabilities: ["NET_ADMIN", "NET_RAW"] };
      const env = { ...container([]).env, XTABLES_LOCKFILE: "/dev/shm/lock" };
      const loaded = await runContainer(container(["redirect", "--backend", backend], { ...rights, env }));
      expect(loaded).toMatchObject({ code: 0, stderr: `TCP is captured, by ${backend}\n` });
    },
  );

  it("redirects nothing without rights, and says what it would do", async () => {
    expect(await runContainer(container(["redirect"]))).toMatchObject({ code: 3 });
    const dry = await runContainer(container(["redirect", "--dry-run", "--backend", "nft"]));
    expect({ code: dry.code, stdout: dry.stdout }).toEqual({
      code: 0,
      stdout: expect.stringContaining("table inet cardea") as string,
    });
  });
});

describe.skipIf(why !== null)("in containers of the image", () => {
  const directory = mkdtempSync(join(tmpdir(), "cardea-in-image-"));
  const namespace = `cardea${process.pid}-image`;
  beforeAll(async () => {
    chmodSync(directory, 0o755);
    for (const each of ["state", "state/registry", "policies", "proxy"]) mkdirSync(join(directory, each));
    await runProgram("ip", ["netns", "add", namespace]);
    await runProgram("ip", ["-n", namespace, "link", "set", "lo", "up"]);
  });
  afterAll(async () => {
    await runProgram("ip", ["netns", "delete", namespace]);
    rmSync(directory, { recursive: true, force: true });
  });

  it("a control plane and a sidecar become ready, and the program itself says so", async () => {
    writeFileSync(
      join(directory, "control.json"),
      JSON.stringify({
        name: "image",
        stateDir: "/run/state",
        policiesDir: "/run/mesh/policies",
        listen: at(15_012),
        admin: at(15_014),
      }),
    );
    writeFileSync(
      join(directory, "policies/none.yaml"),
      "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: none, namespace: shop }\nspec: {}\n",
    );
    const minting = {
      files: openStateFiles(join(directory, "state")),
      clock: systemClock,
      random: createSystemRandom(),
    };
    const spiffeId = parseSpiffeId("spiffe://cluster.local/ns/shop/sa/web");
    writeFileSync(join(directory, "proxy/token"), `${await mintJoinToken(minting, { spiffeId })}\n`, { mode: 0o644 });
    writeFileSync(
      join(directory, "proxy/proxy.json"),
      JSON.stringify({
        name: "web",
        namespace: "shop",
        serviceAccount: "web",
        trustDomain: "cluster.local",
        labels: { app: "web" },
        control: {
          address: at(15_012),
          spiffeId: "spiffe://cluster.local/ns/cardea-system/sa/cardea-control",
          rootFile: "/run/mesh/proxy/root.pem",
        },
        joinTokenFile: "/run/mesh/proxy/token",
        outbound: at(15_001),
        upstreams: [],
        inbound: [],
        flowFile: null,
        admin: at(15_000),
        metrics: at(15_020),
        readiness: at(15_021),
        ownPorts: [],
        drainTimeoutMs: 1_000,
        certTtlSec: 3_600,
      }),
    );
    await runProgram("chown", ["-R", "65532:65532", join(directory, "state")]);
    const mesh = { from: directory, to: "/run/mesh" };
    const state = { from: join(directory, "state"), to: "/run/state", isWritable: true };

    const control = startContainer(
      container(["control", "--config", "/run/mesh/control.json"], {
        uid: 65_532,
        network: namespace,
        mounts: [mesh, state],
      }),
    );
    let log = "";
    control.stderr!.on("data", (chunk: Buffer) => (log += chunk.toString()));
    const line = await new Promise<string>((resolve, reject) => {
      control.stdout!.once("data", (chunk: Buffer) => resolve(chunk.toString()));
      control.once("exit", (code) => reject(new Error(`the control plane ended with ${code}: ${log}`)));
    });
    expect(JSON.parse(line)).toMatchObject({ ready: "control" });
    writeFileSync(join(directory, "proxy/root.pem"), readFileSync(join(directory, "state/ca/root.pem")), {
      mode: 0o644,
    });

    const ask = (wait: string) =>
      runContainer(container([], { network: namespace, command: [...IMAGE.program, "ready", "--wait", wait] }));
    expect(await ask("0s")).toMatchObject({ code: 1 });
    const proxy = startContainer(
      container(["proxy", "--config", "/run/mesh/proxy/proxy.json"], { network: namespace, mounts: [mesh] }),
    );
    expect(await ask("30s")).toMatchObject({ code: 0, stderr: "" });
    await killContainer(proxy);
    await killContainer(control);
  });
});

interface Bom {
  readonly metadata: { readonly component: { readonly purl: string } };
  readonly components: readonly (Named & { readonly purl: string; readonly type: string })[];
}

interface Named {
  readonly group?: string;
  readonly name: string;
  readonly version: string;
}

interface Provenance {
  readonly subject: unknown;
  readonly predicate: {
    readonly buildDefinition: { readonly resolvedDependencies: readonly { readonly uri: string }[] };
  };
}

function nameOf({ group, name, version }: Named): string {
  return `${group === undefined ? "" : `${group}/`}${name}@${version}`;
}
