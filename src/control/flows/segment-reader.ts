import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { SqlDatabase, SqlStatement, SqlValue } from "../../io/sqlite.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import { unpackIds } from "./flow-ids.ts";
import { type EdgeKey, type LinkKey, type Outcome, parseOutcome, parseRare } from "./flow-parts.ts";
import { linkMatcher, outcomeMatcher } from "./flow-match.ts";
import { decisionOf } from "./decision-sums.ts";
import type { DecisionSum, FlowFilter, ReadableNamespaces, TimeRange } from "./query.ts";
import { splitKey, spansOf, SUM_COUNT, sumStatement } from "./roll-up.ts";
import { META, ROWS_PER_MS } from "./segment-schema.ts";

export interface Page {
  /** In the order that was asked for. */
  readonly flows: readonly FlowRecord[];
  /** The row that the next page begins after, in that order; null: there is none. */
  readonly after: number | null;
}

export interface PagePlace {
  /** Where the page before ended; null: this is the first one. */
  readonly after: number | null;
  readonly limit: number;
  readonly isOldestFirst: boolean;
}

const COLUMNS = "at, id, ids, link, outcome, host, path, source_port, upstream_port, received, sent, micros, rare";

/** Reads one segment, the one that is written to as well as the others. Errors: those of `openDatabase`. */
export class SegmentReader {
  readonly #database: SqlDatabase;
  readonly #baseMs: number;
  readonly #edges: GrowingTable<EdgeKey>;
  readonly #links: GrowingTable<LinkKey>;
  readonly #outcomes: GrowingTable<Outcome>;
  readonly #text: SqlStatement;
  readonly #sums = new Map<string, SqlStatement>();

  constructor(database: SqlDatabase) {
    this.#database = database;
    this.#baseMs = Number(database.prepare("SELECT value FROM meta WHERE name = ?").rows(META.baseMs)[0]?.[0] ?? 0);
    this.#edges = new GrowingTable(database, "edges", (text) => JSON.parse(text) as EdgeKey);
    this.#links = new GrowingTable(database, "links", (text) => JSON.parse(text) as LinkKey);
    this.#outcomes = new GrowingTable(database, "outcomes", parseOutcome);
    this.#text = database.prepare("SELECT text FROM texts WHERE id = ?");
  }

  /** From the oldest flow to the newest; null: there is none. */
  span(): TimeRange | null {
    // Two questions: of both at once SQLite would look at every row.
    const ends = "SELECT (SELECT min(at) FROM flows), (SELECT max(at) FROM flows)";
    const [first, last] = this.#database.prepare(ends).rows()[0]!;
    if (typeof first !== "number" || typeof last !== "number") return null;
    return { fromMs: this.#timeOf(first), toMs: this.#timeOf(last) + 1 };
  }

  /** Adds the roll-ups of an aligned range, by edge and kind. */
  sum(range: TimeRange, add: (edge: EdgeKey, kind: number, sums: readonly number[]) => void): void {
    const edges = this.#edges.all();
    for (const { table, from, to } of spansOf(range)) {
      for (const [key, ...sums] of this.#sumsOf(table).rows(from, to) as unknown as readonly (readonly number[])[]) {
        const { edge, kind } = splitKey(key!);
        add(edges[edge]!, kind, sums.slice(0, SUM_COUNT));
      }
    }
  }

  lostFlows({ fromMs, toMs }: TimeRange): number {
    const lost = this.#database.prepare("SELECT sum(flows) FROM losses WHERE time_ms >= ? AND time_ms < ?");
    return Number(lost.rows(fromMs, toMs)[0]![0] ?? 0);
  }

  /** What came of the newest rows of a range, so many at the most, of which `flows` were looked at. */
  decisions(
    { fromMs, toMs }: TimeRange,
    namespaces: ReadableNamespaces,
    limit: number,
  ): { readonly decisions: readonly DecisionSum[]; readonly flows: number; readonly sinceMs: number } {
    const newest = "SELECT at, link, outcome FROM flows WHERE at >= ? AND at < ? ORDER BY at DESC LIMIT ?";
    const sql = `SELECT link, outcome, count(*), max(at), min(at) FROM (${newest}) GROUP BY link, outcome`;
    const rows = this.#database.prepare(sql).rows(this.#rowAt(fromMs), this.#rowAt(toMs), limit);
    const [links, edges, outcomes] = [this.#links.all(), this.#edges.all(), this.#outcomes.all()];
    const takes = linkMatcher({}, namespaces);
    let [flows, first] = [0, Number.POSITIVE_INFINITY];
    const decisions: DecisionSum[] = [];
    for (const [link, outcome, count, last, since] of rows as unknown as readonly (readonly number[])[]) {
      flows += count!;
      first = Math.min(first, since!);
      const edge = edges[links[link!]![0]]!;
      if (takes(edge)) decisions.push(decisionOf(edge, outcomes[outcome!]!, count!, this.#timeOf(last!)));
    }
    return { decisions, flows, sinceMs: flows === 0 ? toMs : this.#timeOf(first) };
  }

  /** Looks at so many rows at the most; a page may end before its limit for that. */
  page(filter: FlowFilter, namespaces: ReadableNamespaces, { after, limit, isOldestFirst }: PagePlace): Page {
    const links = this.#matchingLinks(filter, namespaces);
    const outcomes = this.#outcomes.all().flatMap((outcome, id) => (outcomeMatcher(filter)(outcome) ? [id] : []));
    if (links.length === 0 || outcomes.length === 0) return { flows: [], after: null };
    const top = isOldestFirst || after === null ? Number.MAX_SAFE_INTEGER : after;
    const bottom = isOldestFirst && after !== null ? after + 1 : Number.MIN_SAFE_INTEGER;
    const to = filter.toMs === undefined ? top : Math.min(top, this.#rowAt(filter.toMs));
    const from = filter.fromMs === undefined ? bottom : Math.max(bottom, this.#rowAt(filter.fromMs));
    const where = ["at >= ?", "at < ?", "outcome IN (SELECT value FROM json_each(?))"];
    const values: SqlValue[] = [from, to, JSON.stringify(outcomes)];
    if (links.length < this.#links.all().length) {
      // Few links are looked up by the index, many are sieved.
      where.push(`${links.length <= INDEXED_LINKS_MAX ? "" : "+"}link IN (SELECT value FROM json_each(?))`);
      values.push(JSON.stringify(links));
    }
    if (filter.pathPrefix !== undefined) {
      where.push(PATH_BEGINS);
      values.push(filter.pathPrefix, filter.pathPrefix, filter.pathPrefix, filter.pathPrefix);
    }
    if (filter.traceId !== undefined) {
      where.push("substr(ids, 5, 16) = ?");
      values.push(Buffer.from(filter.traceId, "hex"));
    }
    const sql = `SELECT ${COLUMNS} FROM flows WHERE ${where.join(" AND ")} ORDER BY at ${isOldestFirst ? "ASC" : "DESC"} LIMIT ?`;
    const rows = this.#database.prepare(sql).rows(...values, limit);
    const last = rows.at(-1);
    return {
      flows: rows.map((row) => this.#flowOf(row)),
      after: last === undefined || rows.length < limit ? null : (last[0] as number),
    };
  }

  /** By the first eight digits of the id, or more of it. Of what was simply allowed, too, if `everywhere`: a slow search. */
  find(id: string, namespaces: ReadableNamespaces, everywhere: boolean): readonly FlowRecord[] {
    const head = Number.parseInt(id.slice(0, 8), 16) | 0;
    const only = everywhere ? "" : "AND is_told = 1";
    const rows = this.#database
      .prepare(`SELECT ${COLUMNS} FROM flows WHERE id = ? ${only} ORDER BY at DESC LIMIT ?`)
      .rows(head, FLOW_LIMITS.flowAnswerMax);
    const links = new Set(this.#matchingLinks({}, namespaces));
    return rows
      .filter((row) => links.has(row[3] as number))
      .map((row) => this.#flowOf(row))
      .filter((flow) => flow.id.startsWith(id));
  }

  #matchingLinks(filter: FlowFilter, namespaces: ReadableNamespaces): readonly number[] {
    const edges = this.#edges.all();
    const takes = linkMatcher(filter, namespaces);
    // Many links are of one edge, and all that is asked of a link is asked of its edge.
    const isTaken = edges.map(takes);
    return this.#links.all().flatMap(([edge], id) => (isTaken[edge] === true ? [id] : []));
  }

  #sumsOf(table: string): SqlStatement {
    let statement = this.#sums.get(table);
    if (statement === undefined) this.#sums.set(table, (statement = sumStatement(this.#database, table)));
    return statement;
  }

  #rowAt(timeMs: number): number {
    return Math.max(
      Number.MIN_SAFE_INTEGER,
      Math.min(Number.MAX_SAFE_INTEGER, Math.floor(timeMs - this.#baseMs) * ROWS_PER_MS),
    );
  }

  #timeOf(at: number): number {
    return this.#baseMs + Math.floor(at / ROWS_PER_MS);
  }

  #textOf(value: SqlValue): string | null {
    return typeof value === "number" ? (this.#text.rows(value)[0]?.[0] as string) : (value as string | null);
  }

  #flowOf([
    at,
    id,
    ids,
    link,
    outcome,
    host,
    path,
    port,
    upstreamPort,
    received,
    sent,
    micros,
    rare,
  ]: readonly SqlValue[]): FlowRecord {
    const [edge, sourceIp, destinationIp, sourceLabels, destinationLabels, sni, servicePort] =
      this.#links.all()[link as number]!;
    const [reporter, protocol, version, group, destinationPort, sNamespace, sWorkload, sService, sPrincipal, ...to] =
      this.#edges.all()[edge]!;
    const [namespace, workload, service, principal] = to;
    return {
      timeMs: this.#timeOf(at as number),
      ...unpackIds(id as number, ids as Uint8Array),
      ...this.#outcomes.all()[outcome as number]!,
      ...parseRare(rare as string | null),
      reporter,
      protocol,
      source: {
        ip: sourceIp,
        port: port as number,
        principal: sPrincipal,
        namespace: sNamespace,
        workload: sWorkload,
        service: sService,
        labels: sourceLabels,
      },
      destination: {
        ip: destinationIp,
        port: destinationPort,
        principal,
        namespace,
        workload,
        service,
        labels: destinationLabels,
      },
      tls: { version, group, sni },
      servicePort,
      host: this.#textOf(host!),
      path: this.#textOf(path!),
      bytesReceived: received as number,
      bytesSent: sent as number,
      durationMs: (micros as number) / 1_000,
      upstreamPort: upstreamPort as number | null,
    };
  }
}

const INDEXED_LINKS_MAX = 64;
const PATH_BEGINS =
  "CASE typeof(path) WHEN 'integer' THEN path IN (SELECT id FROM texts WHERE substr(text, 1, length(?)) = ?) ELSE substr(path, 1, length(?)) = ? END";

/** A dictionary as it is read: entries are added, and never change. */
class GrowingTable<Entry> {
  readonly #entries: Entry[] = [];
  readonly #next: SqlStatement;
  readonly #parse: (text: string) => Entry;

  constructor(database: SqlDatabase, table: string, parse: (text: string) => Entry) {
    this.#next = database.prepare(`SELECT text FROM ${table} WHERE id >= ? ORDER BY id`);
    this.#parse = parse;
  }

  all(): readonly Entry[] {
    for (const [text] of this.#next.rows(this.#entries.length)) this.#entries.push(this.#parse(text as string));
    return this.#entries;
  }
}
