import { chmodSync } from "node:fs";
import { lstat, unlink } from "node:fs/promises";
import net from "node:net";
import { dirname } from "node:path";
import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Connection } from "../core/ports.ts";
import { fitsUnixSocket, UNIX_PATH_BYTES_MAX } from "../core/unix-path.ts";
import { SocketConnection } from "./socket-connection.ts";

export interface UnixListenerOptions {
  /** Absolute, UNIX_PATH_BYTES_MAX octets at most. */
  readonly path: string;
  /**
   * `owner`: our own user alone (mode 0600), in a directory that nobody else may write. `everyone`: any user who reaches the
   * directory (0666), as in a pod, whose containers run as users of their own choice.
   */
  readonly access: "owner" | "everyone";
}

export interface UnixListening {
  /** Stops accepting and takes the socket away. Open connections go on. */
  close(): Promise<void>;
}

/**
 * Listens on a socket of the file system. What an earlier process has left there is removed, but only a socket, and only
 * when nobody answers it; a symbolic link is never followed. The socket is at no time open to more users than it is to be.
 * Errors: `bad-input` when path or directory are not fit for it, `unreachable` when another process serves it.
 */
export async function listenUnix(
  { path, access }: UnixListenerOptions,
  onConnection: (connection: Connection) => void,
): Promise<UnixListening> {
  if (!fitsUnixSocket(path)) throw refused(path, `its path is longer than ${UNIX_PATH_BYTES_MAX} bytes`);
  await assertDirectory(path, access);
  await removeStale(path);
  const server = net.createServer({ allowHalfOpen: true }, (socket) =>
    onConnection(new SocketConnection(socket, "downstream", { isLocal: true })),
  );
  await open(server, path);
  if (access === "everyone") chmodSync(path, 0o666);
  // Accepting can fail later, too (no file descriptors left); the next one may succeed.
  server.on("error", () => {});
  return {
    close: () =>
      new Promise((resolve) => {
        // Closing removes the file as well; open connections are their owner's to end.
        server.close();
        setImmediate(resolve);
      }),
  };
}

/** Whoever may write the directory could put a socket of his own in our place. */
async function assertDirectory(path: string, access: UnixListenerOptions["access"]): Promise<void> {
  const directory = dirname(path);
  const found = await lstat(directory).catch(() => null);
  if (found === null) throw refused(path, `the directory ${directory} is not there`);
  if (!found.isDirectory()) throw refused(path, `${directory} is no directory`);
  if (access === "everyone") return;
  if (found.uid !== process.getuid?.()) throw refused(path, `${directory} belongs to another user`);
  if ((found.mode & 0o022) !== 0) throw refused(path, `others may write ${directory}; chmod go-w it`);
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  if (!found.isSocket()) throw refused(path, "something else than a socket is there");
  if (await answers(path)) throw new CardeaError("unreachable", `${path} is served by another process`);
  await unlink(path).catch((error: unknown) => {
    throw refused(path, `what an earlier process has left there cannot be removed: ${(error as Error).message}`);
  });
}

/** Whether somebody accepts there. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(path);
    const settle = (isAnswered: boolean): void => {
      socket.destroy();
      resolve(isAnswered);
    };
    socket.once("connect", () => settle(true));
    // A full backlog (EAGAIN) and the like are signs of life; a socket without a process refuses.
    socket.once("error", (error: NodeJS.ErrnoException) =>
      settle(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"),
    );
  });
}

function open(server: net.Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(new CardeaError("unreachable", `cannot listen on ${path}: ${error.code ?? error.message}`, error)),
    );
    // The file is made within this call, so that the mask is ours alone for as long as it counts.
    const before = process.umask(0o177);
    try {
      server.listen({ path, backlog: LIMITS.listenBacklog }, () => {
        server.removeAllListeners("error");
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

function refused(path: string, why: string): CardeaError {
  return new CardeaError("bad-input", `${path} cannot be a socket of ours: ${why}`);
}
