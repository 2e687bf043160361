import { CardeaError } from "../core/errors.ts";
import { PORT_PROTOCOLS } from "../core/port-protocol.ts";
import type { MeshApp, MeshService } from "../config/mesh.ts";
import { type ChildProcess, startChild } from "../io/child-processes.ts";
import { systemClock } from "../io/clock.ts";
import type { Command, ParsedArgs, Terminal } from "./command.ts";
import { type JoinedSidecar, joinMesh } from "./local/joined-sidecar.ts";
import { appEnv, assertProgram } from "./local/launch.ts";
import { describeMissingSockets } from "./local/plan.ts";
import { programName } from "./program-name.ts";
import { findStateDirectory } from "./state-dir.ts";

/** Any process with an identity and a sidecar, joined to a running local mesh. */
export const command: Command = {
  name: "run",
  summary: "run any program with an identity and a sidecar, joined to the running mesh",
  usage: "cardea run --service NAME [flags] -- CMD...",
  example: "cardea run --service shopfront --enforcement AUDIT -- npm start",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "service", value: "NAME", summary: "what others call it; the last part of its SPIFFE ID, too" },
    { name: "namespace", value: "NAMESPACE", summary: "its namespace", default: "default" },
    {
      name: "port",
      value: "PORT",
      summary: "the port that others ask for; the program is told by PORT where to listen",
      default: "8080",
    },
    { name: "protocol", value: PORT_PROTOCOLS.join("|"), summary: "what it speaks on that port", default: "AUTO" },
    { name: "app-port", value: "PORT", summary: "where it listens on 127.0.0.1, when it does not read PORT" },
    { name: "upstream", value: "SERVICE:PORT", repeat: true, summary: "a service to be found at a fixed local port" },
    { name: "enforcement", value: "ENFORCE|AUDIT", summary: "AUDIT records what would be denied and blocks nothing" },
    { name: "state", value: "DIR", summary: "state directory of the mesh" },
  ],
  run: runInMesh,
};

/** A signal's number is told as the shell does it: 128 and the number. */
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

async function runInMesh(args: ParsedArgs, terminal: Terminal): Promise<number> {
  const service = readService(args);
  const [program, ...words] = args.passthrough;
  if (program === undefined)
    throw new CardeaError("bad-input", "the command is missing: cardea run --service NAME -- CMD...");
  await assertProgram("cardea run", program, terminal.cwd, terminal.env);
  const interrupt = new AbortController();
  let child: ChildProcess | null = null;
  terminal.onSignal((signal) => {
    interrupt.abort();
    // The terminal has told the child of a ^C already: they are of one group.
    if (signal === "SIGTERM" || !terminal.isTty) child?.signal(signal);
  });
  const report = (line: string): void => terminal.stderr(`cardea: ${line}`);
  const paths = await findStateDirectory(args.flag("state"), terminal);
  const joined = await joinMesh(service, { paths, clock: systemClock, report, signal: interrupt.signal });
  try {
    describe(joined, terminal, report);
    const missing = describeMissingSockets([joined.plan], paths);
    if (missing !== null) report(missing);
    if (interrupt.signal.aborted) return 0;
    child = await startChild({
      program,
      args: words,
      cwd: terminal.cwd,
      env: appEnv(terminal.env, joined.plan.appEnv),
      output: "inherit",
      isOwnGroup: false,
    });
    await joined.appStarted(child.name);
    const { code, signal } = await child.exited;
    return code ?? 128 + (SIGNAL_NUMBERS[signal ?? ""] ?? 0);
  } finally {
    await joined.close();
  }
}

function describe({ plan }: JoinedSidecar, terminal: Terminal, report: (line: string) => void): void {
  const { service, config, principal } = plan;
  const proxy = `http://${config.outbound.host}:${config.outbound.port}`;
  report(`${service.namespace}/${service.name} has joined as ${principal}`);
  for (const { port, protocol, app } of config.inbound)
    report(
      `others reach it at ${service.name}.${service.namespace}:${port} (${protocol}); it listens on ${app.host}:${app.port}`,
    );
  for (const { service: host, servicePort, listen } of config.upstreams)
    report(`it finds ${host}:${servicePort} at ${listen.host}:${listen.port}`);
  report(`try: curl -x ${proxy} http://orders.shop:8080/orders`);
  const audited = service.enforcement === "AUDIT";
  if (audited)
    report(
      `nothing is blocked on its way in; ${programName(terminal.env)} flows --verdict would-deny shows what would be`,
    );
}

function readService(args: ParsedArgs): MeshService {
  const name = args.flag("service");
  if (name === undefined) throw new CardeaError("bad-input", "--service NAME is missing");
  const port = readPort(args, "port");
  const appPort = args.isSet("app-port") ? readPort(args, "app-port") : null;
  // Where the app listens is told to it by PORT; an address is for one that knows better.
  const app: MeshApp =
    appPort === null
      ? { kind: "command", command: [...args.passthrough] }
      : { kind: "address", address: { host: "127.0.0.1", port: appPort } };
  return {
    name: readLabel(name, "service"),
    namespace: readLabel(args.flag("namespace")!, "namespace"),
    serviceAccount: name,
    labels: { app: name },
    ports: [{ port, protocol: readWord(args, "protocol", PORT_PROTOCOLS) }],
    app,
    upstreams: args.flags("upstream").map(readUpstream),
    enforcement: args.isSet("enforcement") ? readWord(args, "enforcement", ["ENFORCE", "AUDIT"]) : null,
    outboundPort: null,
  };
}

function readLabel(text: string, flag: string): string {
  if (text.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text)) return text;
  throw new CardeaError("bad-input", `--${flag}: expected a name of a-z, 0-9 and -, found ${JSON.stringify(text)}`);
}

function readPort(args: ParsedArgs, flag: string): number {
  const text = args.flag(flag) ?? "";
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new CardeaError("bad-input", `--${flag}: expected a port from 1 to 65535, found ${JSON.stringify(text)}`);
}

function readWord<const T extends string>(args: ParsedArgs, flag: string, words: readonly T[]): T {
  const text = args.flag(flag);
  const word = words.find((each) => each === text);
  if (word !== undefined) return word;
  throw new CardeaError("bad-input", `--${flag}: expected one of ${words.join(", ")}, found ${JSON.stringify(text)}`);
}

function readUpstream(text: string): MeshService["upstreams"][number] {
  const match = /^([a-z0-9][-a-z0-9.]*):(\d{1,5})$/.exec(text);
  if (match === null)
    throw new CardeaError("bad-input", `--upstream: expected SERVICE:PORT, found ${JSON.stringify(text)}`);
  const [, service, port] = match;
  return { name: service!.split(".")[0]!, service: service!, port: Number(port), localPort: null };
}
