import type { Connection } from "../core/ports.ts";
import { type Koffi, loadKoffi } from "./koffi.ts";
import { SocketConnection } from "./socket-connection.ts";

/** Who called, as the kernel saw it when the connection was made. unix(7), SO_PEERCRED. */
export interface PeerCredentials {
  /** 0 for a process of another PID namespace, such as another container. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Null: the kernel does not say. */
export type ReadPeerCredentials = (connection: Connection) => PeerCredentials | null;

/**
 * Asks the kernel through the package koffi, which is loaded here and for redirection alone. Null where the package is not
 * installed, or the system is not Linux: then the socket's permissions alone say who may call.
 */
export function openPeerCredentials(): ReadPeerCredentials | null {
  if (process.platform !== "linux") return null;
  const koffi = koffiIfInstalled();
  if (koffi === null) return null;
  const getsockopt = koffi.load(null).func("int getsockopt(int, int, int, void *, void *)");
  return (connection) => {
    const fd = connection instanceof SocketConnection ? connection.fileDescriptor : null;
    if (fd === null) return null;
    // One buffer for all: nothing happens between the call and the reading of it.
    LENGTH.writeUInt32LE(UCRED.length);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, UCRED, LENGTH) !== 0) return null;
    return { pid: UCRED.readInt32LE(0), uid: UCRED.readUInt32LE(4), gid: UCRED.readUInt32LE(8) };
  };
}

function koffiIfInstalled(): Koffi | null {
  try {
    return loadKoffi();
  } catch {
    return null;
  }
}

/** asm-generic/socket.h, which x64 and arm64 share. */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

/** struct ucred: pid, uid, gid. */
const UCRED = Buffer.alloc(12);
const LENGTH = Buffer.alloc(4);
