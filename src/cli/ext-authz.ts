import { CheckDecider, type CheckAnswer } from "../control/ext-authz/check-decider.ts";
import {
  type CheckDefaults,
  type CheckQuestion,
  parseLabels,
  readQuestion,
} from "../control/ext-authz/check-question.ts";
import { DENIAL_HEADER, DENIED_TEXT, openCheckService } from "../control/ext-authz/check-service.ts";
import { openPolicySource } from "../control/distribute/policy-source.ts";
import { createSerialRun } from "../control/distribute/serial-run.ts";
import { CardeaError, toCardeaError } from "../core/errors.ts";
import { createLatest } from "../core/latest.ts";
import { formatFault } from "../core/located.ts";
import type { Address } from "../core/ports.ts";
import { type AskedHead, type HeadAnswer, openCheckServer } from "../io/check-server.ts";
import { createSystemRandom } from "../io/random.ts";
import type { AuthorizationPolicy } from "../policy/document.ts";
import type { Command, ParsedArgs, Terminal } from "./command.ts";
import { needFlag, readGoodPolicies, readMeshSettings, readPoliciesWithTexts } from "./policy-input.ts";

/** An external authorization server for Envoy and its kin: the sidecars' engine behind ext_authz. */
export const command: Command = {
  name: "ext-authz",
  summary: "an external authorization server (Envoy's ext_authz) that decides by policies",
  usage:
    "cardea ext-authz --policies PATH [--mesh FILE] [--listen ADDRESS] [--listen-http ADDRESS] [--namespace NAME] [--labels app=NAME,…]",
  example: "cardea ext-authz --policies policies --namespace shop --labels app=ledger",
  positional: { min: 0, max: 0 },
  flags: [
    {
      name: "policies",
      value: "PATH",
      repeat: true,
      summary: "policy file or directory, followed as it changes; may be given more than once",
    },
    { name: "mesh", value: "FILE", summary: "mesh file, for its trust domain, root namespace and defaultAction" },
    {
      name: "listen",
      value: "ADDRESS",
      default: "127.0.0.1:9191",
      summary: "where gRPC is served: Authorization/Check and Health/Check",
    },
    { name: "listen-http", value: "ADDRESS", summary: "where the HTTP form is served; left out: nowhere" },
    {
      name: "http-path-prefix",
      value: "PATH",
      default: "",
      summary: "what the proxy puts before the path in the HTTP form (path_prefix)",
    },
    { name: "namespace", value: "NAME", summary: "of the workload that is asked about, where the check does not say" },
    {
      name: "labels",
      value: "LABELS",
      default: "",
      summary: "its labels, where the check does not say: app=web,version=v1",
    },
    { name: "port", value: "PORT", summary: "its port, where the proxy's own is another" },
    {
      name: "trust-xfcc",
      value: null,
      summary: "x-forwarded-client-cert says who calls; only where the proxy writes it anew",
    },
  ],
  run: runExtAuthz,
};

async function runExtAuthz(args: ParsedArgs, terminal: Terminal): Promise<0> {
  const paths = needFlag(args, "policies", command);
  const settings = await readMeshSettings(args.flag("mesh"));
  const defaults = readDefaults(args);
  const documents = createLatest((await readGoodPolicies(paths)).documents);
  const decider = new CheckDecider({ documents, settings, random: createSystemRandom() });
  const check = (question: CheckQuestion | string): CheckAnswer => {
    const answer = decider.decide(question);
    if (!answer.allow) terminal.stdout(JSON.stringify(lineOf(answer, question)));
    return answer;
  };
  const ended = new Promise<void>((resolve) => terminal.onSignal(() => resolve()));
  const listen = parseAddress(args.flag("listen")!, "listen");
  const grpc = await openCheckService({ listen, check: (request) => check(readQuestion(request, defaults)) });
  const http = await openHttpForm(args, { defaults, check });
  const following = follow(paths, (now) => documents.set(now), terminal);
  terminal.stdout(JSON.stringify({ ready: "ext-authz", grpc: grpc.address, http: http?.address ?? null }));
  await ended;
  following.close();
  await Promise.all([grpc.close(), http?.close()]);
  return 0;
}

function readDefaults(args: ParsedArgs): CheckDefaults {
  const labels = parseLabels(args.flag("labels") ?? "");
  if (labels === null) throw new CardeaError("bad-input", "--labels takes a list like app=web,version=v1");
  const port = args.flag("port");
  if (port !== undefined && !/^[0-9]{1,5}$/.test(port)) throw new CardeaError("bad-input", "--port takes a number");
  return {
    namespace: args.flag("namespace") ?? null,
    labels,
    port: port === undefined ? null : Number(port),
    trustsXfcc: args.isSet("trust-xfcc"),
  };
}

function parseAddress(text: string, flag: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text);
  if (match === null) throw new CardeaError("bad-input", `--${flag} takes an address like 127.0.0.1:9191`);
  return { host: match[1] ?? match[2]!, port: Number(match[3]) };
}

interface HttpForm {
  readonly defaults: CheckDefaults;
  readonly check: (question: CheckQuestion | string) => CheckAnswer;
}

async function openHttpForm(args: ParsedArgs, { defaults, check }: HttpForm) {
  const at = args.flag("listen-http");
  if (at === undefined) return null;
  const prefix = args.flag("http-path-prefix") ?? "";
  const listen = parseAddress(at, "listen-http");
  return openCheckServer({ listen, answer: (head) => httpAnswerOf(check(httpQuestion(head, prefix, defaults))) });
}

/** The HTTP form tells nothing of addresses and certificates: x-forwarded-client-cert is all there is to know a caller by. */
function httpQuestion(head: AskedHead, prefix: string, defaults: CheckDefaults): CheckQuestion | string {
  const { method, path, host, headers } = head;
  if (!path.startsWith(prefix)) return `the path does not begin with ${prefix}`;
  const http = {
    id: "",
    method,
    headers,
    headerMap: null,
    path: path.slice(prefix.length),
    host,
    scheme: "",
    size: 0,
    protocol: "",
    body: "",
    rawBody: Buffer.alloc(0),
  };
  const request = { time: null, http };
  const nobody = { source: null, destination: null, contextExtensions: new Map<string, string>(), tlsSession: null };
  return readQuestion({ attributes: { ...nobody, request } }, defaults);
}

function httpAnswerOf(answer: CheckAnswer): HeadAnswer {
  if (answer.allow) return { status: 200, headers: {}, body: "" };
  const headers = { "content-type": "text/plain", [DENIAL_HEADER]: answer.id };
  return { status: answer.status, headers, body: DENIED_TEXT };
}

/** What is behind the id that a denied caller got. */
function lineOf(answer: Extract<CheckAnswer, { allow: false }>, question: CheckQuestion | string): object {
  const { id, decision, why } = answer;
  const asked = typeof question === "string" ? {} : describe(question);
  const decided =
    decision === null
      ? { reason: "bad-request", error: why }
      : { policy: decision.policy, rule: decision.rule, reason: decision.reason };
  return { id, decision: "deny", ...decided, ...asked };
}

function describe({ workload, peer, request }: CheckQuestion): object {
  const source = { principal: peer.principal, ip: peer.sourceIp };
  const destination = {
    namespace: workload.namespace,
    labels: workload.labels,
    ip: peer.destinationIp,
    port: peer.destinationPort,
  };
  if (request === null) return { source, destination, protocol: "tcp" };
  const { method, host } = request;
  return { source, destination, protocol: "http", request: { method, host, path: request.path.split("?")[0] } };
}

/** Reads the policies again when they change. A bad set leaves the one before in force. */
function follow(
  paths: readonly string[],
  onPolicies: (documents: readonly AuthorizationPolicy[]) => void,
  terminal: Terminal,
): { close(): void } {
  const runs = createSerialRun(async () => {
    try {
      const { policies } = await readPoliciesWithTexts(paths);
      for (const fault of policies.faults) terminal.stderr(formatFault(fault));
      if (policies.faults.length > 0) terminal.stderr("the policies before these stay in force");
      else onPolicies(policies.documents);
    } catch (thrown) {
      terminal.stderr(toCardeaError(thrown).message);
    }
  });
  const watching = paths.map((path) => openPolicySource(path).watch(() => void runs.request()));
  return { close: () => watching.forEach((each) => each.close()) };
}
