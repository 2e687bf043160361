import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeCertificates } from "./certificates.ts";
import { type Child, findFreePorts, startChild } from "./child.ts";
import { awaitFirstAnswer, awaitFirstByte, awaitListening } from "./first-answer.ts";
import type { Peer, Role } from "./peers.ts";
import type { Program } from "./programs.ts";
import type { Carried, Ports, RunningSide, SideSetting } from "./side.ts";
import { fillTemplate, haproxyRules, type PeerPorts, templateValues } from "./template.ts";

/** Starts the peer's two sidecars. Errors: with what they printed, when nothing comes through. */
export async function openPeer(peer: Peer, program: Program, setting: SideSetting): Promise<RunningSide> {
  const { kinds } = peer.carries(program);
  const pair = await openPair(peer, program, setting);
  const { ports } = pair;
  const has = (carried: Carried, port: number): number | null => (kinds.includes(carried) ? port : null);
  const carried: Ports = {
    http: has("http", ports.callerHttp),
    grpc: has("grpc", peer.hasOwnGrpcPort ? ports.callerGrpc : ports.callerHttp),
    tcp: has("tcp", ports.callerTcp),
    fresh: has("fresh", ports.callerTcp),
  };
  try {
    // Asked before the other side listens, HAProxy would wait a second before it tries again: its pace, not its start.
    await awaitListening(carried.http === null ? ports.serverTcp : ports.serverHttp, pair.failure);
    if (carried.http === null) await awaitFirstByte(ports.callerTcp, pair.failure);
    else await awaitFirstAnswer(ports.callerHttp, pair.failure);
  } catch (error) {
    const outputs = pair.outputs();
    await pair.close();
    throw new Error(`${String(error)}\n${outputs}`, { cause: error });
  }
  return {
    name: peer.name,
    version: `${program.version}, ${BETWEEN[peer.between]} between`,
    ports: carried,
    betweenPort: carried.http === null ? null : ports.serverHttp,
    pids: () => pair.pids(),
    restartCaller: () => pair.restartCaller(),
    close: () => pair.close(),
  };
}

const BETWEEN: Readonly<Record<Peer["between"], string>> = { h2: "HTTP/2", "http/1.1": "HTTP/1.1", TLS: "TLS" };

interface Pair {
  readonly ports: PeerPorts;
  pids(): readonly number[];
  outputs(): string;
  /** What one of them said at its end; null while both run. */
  readonly failure: () => string | null;
  restartCaller(): Promise<number>;
  close(): Promise<void>;
}

async function openPair(peer: Peer, { program, version }: Program, setting: SideSetting): Promise<Pair> {
  const { directory } = setting;
  const certificates = writeCertificates(join(directory, "certificates"));
  const ports = await choosePorts();
  writeFileSync(join(directory, "rules.lst"), haproxyRules(certificates.callerSha1));
  const shared = { ...templateValues(setting, certificates, ports), ...peer.values({ program, version }) };
  const start = (role: Role): Child => {
    const own = join(directory, role);
    mkdirSync(own, { recursive: true });
    const admin = role === "server" ? ports.serverAdmin : ports.callerAdmin;
    const values = { ...shared, DIR: own, ADMIN: String(admin) };
    const files = peer.templates(role).map((template) => {
      const text = readFileSync(join(import.meta.dirname, "peers", template), "utf8");
      writeFileSync(join(own, template), fillTemplate(text, values));
      return join(own, template);
    });
    return startChild(program, peer.words(role, files[0] ?? own, values), join(own, "output.log"));
  };
  const server = start("server");
  let caller = start("caller");
  const both = (): readonly Child[] => [server, caller];
  return {
    ports,
    pids: () => both().map((child) => child.pid),
    outputs: () =>
      both()
        .map((child) => child.output())
        .join("\n"),
    failure: () => {
      const ended = both().find((child) => child.hasEnded());
      return ended === undefined ? null : `${peer.name} ended: ${ended.output()}`;
    },
    async restartCaller() {
      await caller.close();
      caller = start("caller");
      return caller.pid;
    },
    close: async () => void (await Promise.all(both().map((child) => child.close()))),
  };
}

async function choosePorts(): Promise<PeerPorts> {
  const [callerHttp, callerGrpc, callerTcp, serverHttp, serverGrpc, serverTcp, serverAdmin, callerAdmin] =
    await findFreePorts(8);
  return {
    callerHttp: callerHttp!,
    callerGrpc: callerGrpc!,
    callerTcp: callerTcp!,
    serverHttp: serverHttp!,
    serverGrpc: serverGrpc!,
    serverTcp: serverTcp!,
    serverAdmin: serverAdmin!,
    callerAdmin: callerAdmin!,
  };
}
