import { CardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import { openDatabase, type SqlDatabase, type SqlInput, type SqlStatement } from "../../io/sqlite.ts";
import type { FlowPeer, FlowRecord } from "../../observe/flow.ts";
import type { LossFacts } from "../../observe/otlp-loss.ts";
import { Dictionary } from "./dictionary.ts";
import { idHead, packIds } from "./flow-ids.ts";
import { edgeKeyOf, kindOf, type LinkKey, linkKeyOf, outcomeText, parseOutcome, rareText } from "./flow-parts.ts";
import { RollUps, rollUpKey } from "./roll-up.ts";
import { META, ROWS_PER_MS, SEGMENT_SCHEMA } from "./segment-schema.ts";

interface Link {
  readonly id: number;
  readonly edge: number;
}

/**
 * The file that flows are written to now: rows, dictionaries and roll-ups of some span of time. What was appended is durable
 * after `commit`, and gone after an error of it. Roll-ups wait in memory for `writeRollUps`; where the process ended before
 * that they are made anew from the rows. Errors: those of `openDatabase`.
 */
export class Segment {
  readonly path: string;
  readonly baseMs: number;
  readonly database: SqlDatabase;
  readonly #edges: Dictionary;
  readonly #links: Dictionary;
  readonly #outcomes: Dictionary;
  readonly #texts: Dictionary;
  readonly #rollUps: RollUps;
  readonly #insert: SqlStatement;
  readonly #insertLoss: SqlStatement;
  readonly #findTold: SqlStatement;
  readonly #setMeta: SqlStatement;
  #rows: number;
  #sequence = 0;
  #isUncounted = false;
  /** Sizes of the dictionaries when the transaction began; null: there is none. */
  #sizes: readonly number[] | null = null;
  /** What the transaction's flows count as: six numbers each. */
  #counted: number[] = [];
  #last: { readonly flow: FlowRecord; readonly link: Link; readonly outcome: number } | null = null;

  constructor(path: string, nowMs: number) {
    this.path = path;
    this.database = openDatabase(path);
    try {
      const { database } = this;
      database.exec(SEGMENT_SCHEMA);
      this.#setMeta = database.prepare(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
      );
      this.baseMs = readMeta(database, META.baseMs) ?? nowMs;
      this.#setMeta.run(META.baseMs, this.baseMs);
      this.#edges = new Dictionary(database, "edges", FLOW_LIMITS.flowSegmentEdgesMax);
      this.#links = new Dictionary(database, "links", FLOW_LIMITS.flowSegmentEdgesMax);
      this.#outcomes = new Dictionary(database, "outcomes", FLOW_LIMITS.flowSegmentEdgesMax);
      this.#texts = new Dictionary(database, "texts", FLOW_LIMITS.flowSegmentTextsMax);
      this.#insert = database.prepare(
        "INSERT INTO flows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
      );
      this.#findTold = database.prepare(
        "SELECT 1 FROM flows INDEXED BY told WHERE is_told = 1 AND id = ? AND ids = ? AND link = ?",
      );
      this.#insertLoss = database.prepare("INSERT INTO losses VALUES (?, ?, ?, ?, ?, ?)");
      this.#rollUps = new RollUps(database);
      this.#rows = Number(database.prepare("SELECT count(*) FROM flows").rows()[0]![0]);
      if (readMeta(database, META.isUncounted) === 1) this.#countAgain();
    } catch (error) {
      this.database.close();
      throw error;
    }
  }

  /** Another one has to be begun. */
  get isFull(): boolean {
    return (
      this.#rows >= FLOW_LIMITS.flowSegmentRowsMax || this.#edges.isFull || this.#links.isFull || this.#outcomes.isFull
    );
  }

  /** In the transaction that `commit` ends. False: this segment has no room for what is new about it. */
  append(flow: FlowRecord): boolean {
    this.#begin();
    const link = this.#linkOf(flow);
    const outcome = this.#outcomeOf(flow);
    if (link === null || outcome === null) return false;
    this.#last = { flow, link, outcome };
    const head = idHead(flow.id);
    const ids = packIds(flow);
    const isTold = flow.verdict !== "allowed";
    // Of what people ask for there is never a second, whatever became of an answer to its sidecar.
    if (isTold && this.#findTold.rows(head, ids, link.id).length > 0) return true;
    const micros = Number.isFinite(flow.durationMs) ? Math.max(0, Math.round(flow.durationMs * 1_000)) : 0;
    this.#insertRow(flow.timeMs, [
      head,
      ids,
      link.id,
      outcome,
      this.#text(flow.host),
      this.#text(flow.path),
      flow.source.port,
      flow.upstreamPort,
      flow.bytesReceived,
      flow.bytesSent,
      micros,
      rareText(flow),
      isTold ? 1 : null,
    ]);
    this.#counted.push(
      flow.timeMs,
      rollUpKey(link.edge, kindOf(flow)),
      flow.bytesReceived,
      flow.bytesSent,
      flow.durationMs,
      flow.sampledFrom ?? 1,
    );
    return true;
  }

  appendLoss(timeMs: number, sender: string, { reason, verdict, principal, flows }: LossFacts): void {
    this.#begin();
    this.#insertLoss.run(timeMs, sender, reason, verdict, principal, flows);
  }

  /** Errors: after one of these, what was appended since the last commit is not there. */
  commit(): void {
    if (this.#sizes === null) return;
    try {
      this.database.exec("COMMIT");
    } catch (error) {
      this.rollBack();
      throw error;
    }
    this.#sizes = null;
    const counted = this.#counted;
    this.#rows += counted.length / COUNTED_NUMBERS;
    for (let i = 0; i < counted.length; i += COUNTED_NUMBERS)
      this.#rollUps.count(
        counted[i]!,
        counted[i + 1]!,
        counted[i + 2]!,
        counted[i + 3]!,
        counted[i + 4]!,
        counted[i + 5]!,
      );
    this.#counted = [];
  }

  rollBack(): void {
    if (this.#sizes === null) return;
    const [edges, links, outcomes, texts] = this.#sizes;
    this.#sizes = null;
    this.#counted = [];
    this.#last = null;
    this.#edges.forget(edges!);
    this.#links.forget(links!);
    this.#outcomes.forget(outcomes!);
    this.#texts.forget(texts!);
    this.#tryRollBack();
    // The row that says so may have been in it.
    this.#isUncounted = false;
  }

  /** After it the roll-ups say all that was committed. */
  writeRollUps(): void {
    this.commit();
    if (this.#rollUps.isEmpty) return;
    this.#inTransaction(() => {
      this.#rollUps.write();
      this.#setMeta.run(META.isUncounted, 0);
    });
    this.#isUncounted = false;
    this.#rollUps.clear();
  }

  close(): void {
    try {
      this.writeRollUps();
    } finally {
      this.database.close();
    }
  }

  #begin(): void {
    if (this.#sizes !== null) return;
    this.database.exec("BEGIN");
    this.#sizes = [this.#edges.size, this.#links.size, this.#outcomes.size, this.#texts.size];
    if (this.#isUncounted) return;
    this.#setMeta.run(META.isUncounted, 1);
    this.#isUncounted = true;
  }

  #inTransaction(work: () => void): void {
    this.database.exec("BEGIN");
    try {
      work();
      this.database.exec("COMMIT");
    } catch (error) {
      this.#tryRollBack();
      throw error;
    }
  }

  #tryRollBack(): void {
    try {
      this.database.exec("ROLLBACK");
    } catch {
      // SQLite has done so already, as it does when the disk is full.
    }
  }

  #linkOf(flow: FlowRecord): Link | null {
    if (this.#last !== null && hasSameLink(this.#last.flow, flow)) return this.#last.link;
    const edge = this.#edges.idOf(JSON.stringify(edgeKeyOf(flow)));
    if (edge === null) return null;
    const id = this.#links.idOf(JSON.stringify(linkKeyOf(edge, flow)));
    return id === null ? null : { id, edge };
  }

  #outcomeOf(flow: FlowRecord): number | null {
    if (this.#last !== null && hasSameOutcome(this.#last.flow, flow)) return this.#last.outcome;
    return this.#outcomes.idOf(outcomeText(flow));
  }

  /** Long ones are mostly said once, and a dictionary is for what is said again. */
  #text(text: string | null): SqlInput {
    if (text === null || text.length > FLOW_LIMITS.flowSegmentTextBytesMax) return text;
    const id = this.#texts.idOf(text);
    return id === null ? text : BigInt(id);
  }

  #insertRow(timeMs: number, values: SqlInput[]): void {
    const first = Math.floor(timeMs - this.baseMs) * ROWS_PER_MS;
    // A place is taken where thousands came within a millisecond.
    for (let tries = 0; tries < ROWS_PER_MS; tries++) {
      this.#sequence = (this.#sequence + 1) % ROWS_PER_MS;
      if (this.#insert.run(first + this.#sequence, ...values) === 1) return;
    }
    throw new CardeaError("internal", "a millisecond has more flows than a segment can hold");
  }

  /** From the rows: they outlive a crash, what counted them does not. */
  #countAgain(): void {
    const edges = this.database
      .prepare("SELECT text FROM links ORDER BY id")
      .rows()
      .map(([text]) => (JSON.parse(text as string) as LinkKey)[0]);
    const outcomes = this.database
      .prepare("SELECT text FROM outcomes ORDER BY id")
      .rows()
      .map(([text]) => parseOutcome(text as string));
    const page = this.database.prepare(
      "SELECT at, link, outcome, received, sent, micros FROM flows WHERE at > ? ORDER BY at LIMIT 10000",
    );
    for (let after = Number.MIN_SAFE_INTEGER; ; ) {
      const rows = page.rows(after) as readonly (readonly number[])[];
      for (const [at, link, outcome, received, sent, micros] of rows) {
        const timeMs = this.baseMs + Math.floor(at! / ROWS_PER_MS);
        const how = outcomes[outcome!]!;
        const key = rollUpKey(edges[link!]!, kindOf(how));
        this.#rollUps.count(timeMs, key, received!, sent!, micros! / 1_000, how.sampledFrom ?? 1);
      }
      if (rows.length === 0) break;
      after = rows.at(-1)![0]!;
    }
    this.#inTransaction(() => {
      this.#rollUps.writeAnew();
      this.#setMeta.run(META.isUncounted, 0);
    });
    this.#rollUps.clear();
  }
}

const COUNTED_NUMBERS = 6;

export function readMeta(database: SqlDatabase, name: string): number | null {
  const [row] = database.prepare("SELECT value FROM meta WHERE name = ?").rows(name);
  return row === undefined ? null : (row[0] as number);
}

/** But for the port, which each connection has its own of: a link does not know it. */
function isSameSource(one: FlowPeer, other: FlowPeer): boolean {
  return (
    one === other ||
    (one.ip === other.ip &&
      one.labels === other.labels &&
      one.principal === other.principal &&
      one.namespace === other.namespace &&
      one.workload === other.workload &&
      one.service === other.service)
  );
}

/** Records that come one after the other have the same objects for the same peers. */
function hasSameLink(one: FlowRecord, other: FlowRecord): boolean {
  return (
    isSameSource(one.source, other.source) &&
    one.destination === other.destination &&
    one.tls === other.tls &&
    one.servicePort === other.servicePort &&
    one.protocol === other.protocol &&
    one.reporter === other.reporter
  );
}

function hasSameOutcome(one: FlowRecord, other: FlowRecord): boolean {
  return (
    one.status === other.status &&
    one.method === other.method &&
    one.reason === other.reason &&
    one.policy === other.policy &&
    one.rule === other.rule &&
    one.verdict === other.verdict &&
    one.revision === other.revision &&
    one.auditedBy === other.auditedBy &&
    one.dryRun === other.dryRun &&
    one.dryRunBy === other.dryRunBy &&
    one.endedBy === other.endedBy &&
    one.grpcStatus === other.grpcStatus &&
    one.route === other.route &&
    one.attempts === other.attempts &&
    one.retriedFor === other.retriedFor &&
    one.ticket === other.ticket &&
    one.sampledFrom === other.sampledFrom
  );
}
