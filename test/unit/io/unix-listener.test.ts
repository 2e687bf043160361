import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Connection } from "../../../src/core/ports.ts";
import { openPeerCredentials } from "../../../src/io/peer-credentials.ts";
import { UNIX_PATH_BYTES_MAX } from "../../../src/core/unix-path.ts";
import { listenUnix, type UnixListening } from "../../../src/io/unix-listener.ts";
import { collect } from "../../support/collected.ts";

let directory: string;
let path: string;
const open: UnixListening[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-unix-"));
  path = join(directory, "api.sock");
});
afterEach(async () => {
  for (const listening of open.splice(0)) await listening.close();
  rmSync(directory, { recursive: true, force: true });
});

async function listen(
  access: "owner" | "everyone" = "owner",
  onConnection: (connection: Connection) => void = (connection) => connection.destroy(),
): Promise<UnixListening> {
  const listening = await listenUnix({ path, access }, onConnection);
  open.push(listening);
  return listening;
}

describe("a socket of ours", () => {
  test.each([
    ["owner", 0o600],
    ["everyone", 0o666],
  ] as const)("for %s has the mode %o, whatever the process's mask", async (access, mode) => {
    const before = process.umask(0);
    try {
      await listen(access);
      expect(process.umask()).toBe(0);
    } finally {
      process.umask(before);
    }
    expect(lstatSync(path).mode & 0o777).toBe(mode);
  });

  test("carries bytes, and goes away when it is closed", async () => {
    const accepted = Promise.withResolvers<Connection>();
    const listening = await listen("owner", (connection) => accepted.resolve(connection));
    const caller = net.connect(path);
    caller.end("hello");
    const far = collect(await accepted.promise);
    await far.ended;
    expect(Buffer.concat(far.chunks).toString()).toBe("hello");
    caller.destroy();
    await listening.close();
    expect(existsSync(path)).toBe(false);
  });

  test("takes the place of one whose process is gone", async () => {
    // What a killed process leaves: a socket that nobody listens on.
    const left = await leftBehind();
    expect(lstatSync(left).isSocket()).toBe(true);
    await listen();
    const caller = net.connect(path);
    await new Promise((resolve) => caller.once("connect", resolve));
    caller.destroy();
  });

  test("tells who calls, by the kernel's word", async () => {
    const read = openPeerCredentials();
    if (read === null) return;
    const accepted = Promise.withResolvers<Connection>();
    await listen("owner", (connection) => accepted.resolve(connection));
    const caller = net.connect(path);
    expect(read(await accepted.promise)).toEqual({
      pid: process.pid,
      uid: process.getuid!(),
      gid: process.getgid!(),
    });
    caller.destroy();
  });
});

describe("is refused", () => {
  test("where another process answers, which goes on", async () => {
    const first = await listen();
    await expect(listen()).rejects.toMatchObject({ code: "unreachable" });
    const caller = net.connect(path);
    await new Promise((resolve) => caller.once("connect", resolve));
    caller.destroy();
    await first.close();
  });

  test("where a symbolic link is, and what it leads to stays", async () => {
    const target = join(directory, "precious");
    writeFileSync(target, "kept");
    symlinkSync(target, path);
    await expect(listen()).rejects.toMatchObject({ code: "bad-input" });
    expect(existsSync(target)).toBe(true);
    expect(lstatSync(path).isSymbolicLink()).toBe(true);
  });

  test("where a link leads to a socket that nobody serves", async () => {
    const left = await leftBehind(join(directory, "left.sock"));
    symlinkSync(left, path);
    await expect(listen()).rejects.toMatchObject({ code: "bad-input" });
    expect(existsSync(left)).toBe(true);
  });

  test("where a file is", async () => {
    writeFileSync(path, "kept");
    await expect(listen()).rejects.toThrow(/something else than a socket/);
    expect(lstatSync(path).isFile()).toBe(true);
  });

  test("in a directory that others may write, unless it is for everyone", async () => {
    chmodSync(directory, 0o777);
    await expect(listen()).rejects.toThrow(/others may write/);
    await listen("everyone");
  });

  test("in a directory that is a symbolic link", async () => {
    const real = join(directory, "real");
    mkdirSync(real, 0o700);
    symlinkSync(real, join(directory, "link"));
    path = join(directory, "link", "api.sock");
    await expect(listen()).rejects.toThrow(/is no directory/);
  });

  test("in a directory that is not there", async () => {
    path = join(directory, "absent", "api.sock");
    await expect(listen()).rejects.toThrow(/is not there/);
  });

  test("at a path that the kernel would cut", async () => {
    path = join(directory, "x".repeat(UNIX_PATH_BYTES_MAX));
    await expect(listen()).rejects.toThrow(/longer than/);
  });
});

/** A socket without a process: bound, renamed, and closed, which looks for the name that it was bound to. */
async function leftBehind(at = path): Promise<string> {
  const { renameSync } = await import("node:fs");
  const server = net.createServer();
  const bound = `${at}.bound`;
  await new Promise<void>((resolve) => server.listen(bound, resolve));
  renameSync(bound, at);
  await new Promise((resolve) => server.close(resolve));
  return at;
}
