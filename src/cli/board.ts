import type { Address } from "../core/ports.ts";
import { fitTo, paint, visibleText } from "./flow-text.ts";
import type { RunningService } from "./run-file.ts";

/** What the board of `cardea up` shows of a mesh. */
export interface BoardFacts {
  readonly mesh: string;
  readonly services: readonly BoardService[];
  /** SHA-256 of the root certificate's DER, hexadecimal digits. */
  readonly rootFingerprint: string;
  /** The TLS key-exchange group between sidecars, e.g. X25519MLKEM768; null where it is not known. */
  readonly keyExchange: string | null;
  /** As they are to be shown: relative to where the reader stands, if that is shorter. */
  readonly policiesDirectory: string;
  readonly stateDirectory: string;
  /** What is worth trying; without any, generic ones are made from the services. */
  readonly tries: readonly BoardTry[];
  /** Where a browser finds the map; null: nowhere. */
  readonly map: Address | null;
  /** How the reader calls this program, e.g. `npx cardea`. */
  readonly program: string;
}

/** A running service, as far as it is shown. */
type BoardService = Pick<RunningService, "name" | "namespace" | "outbound" | "inbound"> & {
  readonly principal: string;
};

/** A command line that is ready to be pasted. */
export interface BoardTry {
  /** What it does and what comes of it, e.g. `web asks orders: allowed`. */
  readonly says: string;
  readonly line: string;
}

export interface BoardLook {
  readonly width: number;
  readonly colour: boolean;
}

/** The board: what runs, who is who, what to try. Lines to paste are never cut. */
export function renderBoard(facts: BoardFacts, look: BoardLook): readonly string[] {
  const tries = facts.tries.length > 0 ? facts.tries : genericTries(facts.services);
  return [
    "",
    ` ${paint("cardea", "bold", look.colour)}  ${summarize(facts)}`,
    "",
    ...renderServices(facts.services, look),
    "",
    ...renderTrust(facts, look),
    "",
    ...tries.flatMap((each) => renderTry(each, look)),
    ...renderNext(facts.program, look),
    "",
  ];
}

function summarize({ mesh, services }: BoardFacts): string {
  const count = services.length === 1 ? "1 service" : `${services.length} services`;
  return `mesh ${visibleText(mesh)} is up: ${count}, each with its own sidecar and identity`;
}

const IDENTITY_WIDTH_MIN = 16;

function renderServices(services: readonly BoardService[], { width, colour }: BoardLook): readonly string[] {
  const hasTwins = new Set(services.map((service) => service.name)).size < services.length;
  const titles = ["SERVICE", "IDENTITY", "OUTBOUND", "INBOUND"];
  const rows = services.map((service) => [
    visibleText(hasTwins ? `${service.name}.${service.namespace}` : service.name),
    visibleText(service.principal),
    `:${service.outbound.port}`,
    service.inbound.map((inbound) => `${inbound.port}→:${inbound.listen.port}`).join(" ") || "-",
  ]);
  const widths = titles.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const over = widths.reduce((sum, each) => sum + each + GAP.length, 1 - GAP.length) - width;
  widths[1] = Math.max(IDENTITY_WIDTH_MIN, widths[1]! - Math.max(0, over));
  const lineOf = (cells: readonly string[]): string =>
    ` ${cells.map((cell, column) => keepEnd(cell, widths[column]!).padEnd(widths[column]!)).join(GAP)}`.trimEnd();
  return [paint(lineOf(titles), "dim", colour), ...rows.map(lineOf)];
}

const GAP = "  ";

/** An identity is told apart by its end. */
function keepEnd(text: string, width: number): string {
  return text.length <= width ? text : `…${text.slice(text.length - width + 1)}`;
}

const LABEL_WIDTH = 13;

function renderTrust(facts: BoardFacts, { colour }: BoardLook): readonly string[] {
  const label = (text: string): string => ` ${paint(fitTo(text, LABEL_WIDTH), "dim", colour)}`;
  const group = facts.keyExchange === null ? "" : `, key exchange ${describeGroup(facts.keyExchange)}`;
  return [
    `${label("root sha256")}${facts.rootFingerprint}`,
    `${label("between")}TLS 1.3 both ways${group}`,
    ...(facts.map === null ? [] : [`${label("map")}${mapUrl(facts.map)} (who talks to whom, in a browser)`]),
    `${label("policies")}${visibleText(facts.policiesDirectory)} (edit one: it is in force within a second)`,
    `${label("state")}${visibleText(facts.stateDirectory)}`,
  ];
}

/** To be clicked. */
function mapUrl({ host, port }: Address): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** With what it means: the reader has not learned the names of groups by heart. */
export function describeGroup(group: string): string {
  const shown = visibleText(group);
  return /MLKEM|ML-KEM/i.test(group) ? `${shown} (post-quantum)` : shown;
}

function renderTry(each: BoardTry, { colour }: BoardLook): readonly string[] {
  const colon = each.says.lastIndexOf(": ");
  const [what, outcome] = colon < 0 ? [each.says, ""] : [each.says.slice(0, colon + 2), each.says.slice(colon + 2)];
  return [` ${what}${paintOutcome(outcome, colour)}`, `   ${each.line}`, ""];
}

function paintOutcome(outcome: string, colour: boolean): string {
  if (outcome.startsWith("allowed")) return paint(outcome, "allowed", colour);
  return outcome.startsWith("denied") ? paint(outcome, "denied", colour) : outcome;
}

function renderNext(program: string, { colour }: BoardLook): readonly string[] {
  const commands = [
    [`${program} explain ID`, "why was that denied?"],
    [`${program} status`, "is every sidecar in sync?"],
    ["^C", "ends the mesh and leaves nothing running"],
  ] as const;
  const width = Math.max(...commands.map(([line]) => line.length));
  return commands.map(([line, says]) => ` ${fitTo(line, width)}  ${paint(says, "dim", colour)}`);
}

const TRIES_MAX = 3;

/** As the first service, ask each of the others: whether it is allowed is up to the policies. */
function genericTries(services: readonly BoardService[]): readonly BoardTry[] {
  const [caller, ...others] = services;
  if (caller === undefined) return [];
  return others
    .filter((service) => service.inbound.some(mayBeCurled))
    .slice(0, TRIES_MAX)
    .map((service) => {
      const port = service.inbound.find(mayBeCurled)!.port;
      const url = `http://${service.name}.${service.namespace}:${port}/`;
      return { says: `as ${caller.name}, ask ${service.name}`, line: curlThrough(caller.outbound, url) };
    });
}

/** Most ports that declare nothing speak HTTP. */
function mayBeCurled({ protocol }: BoardService["inbound"][number]): boolean {
  return protocol === "HTTP" || protocol === "AUTO";
}

/** A curl that goes through a sidecar's outbound port, as the app beside it would. `-i` shows a denial's id. */
export function curlThrough(outbound: Address, url: string): string {
  return `curl -i -x http://${outbound.host}:${outbound.port} ${url}`;
}
