import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { LogFields } from "../../core/log-fields.ts";
import type { LogLevel } from "../../core/ports.ts";
import type { DatabaseFiles } from "../../io/database-files.ts";
import { openDatabase, type SqlDatabase } from "../../io/sqlite.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import type { LossFacts } from "../../observe/otlp-loss.ts";
import { addUp } from "./decision-sums.ts";
import { EdgeSums } from "./edge-sums.ts";
import { flowMatcher } from "./flow-match.ts";
import type {
  DecisionsAnswer,
  DecisionsQuery,
  DecisionSum,
  EdgesAnswer,
  EdgesQuery,
  FlowFilter,
  FlowsAnswer,
  FlowsQuery,
  ReadableNamespaces,
  TimeRange,
} from "./query.ts";
import { alignedRange } from "./roll-up.ts";
import { Segment } from "./segment.ts";
import { SegmentReader } from "./segment-reader.ts";

export interface StoreOptions {
  readonly files: DatabaseFiles;
  /** Flows that are older go. */
  readonly retentionMs: number;
  /** The oldest go when all is larger than this. */
  readonly bytesMax: number;
  nowMs(): number;
  log(level: LogLevel, event: string, fields: LogFields): void;
}

interface Reading {
  readonly database: SqlDatabase | null;
  readonly reader: SegmentReader;
}

interface Follower {
  readonly takes: (flow: FlowRecord) => boolean;
  readonly onFlows: (flows: readonly FlowRecord[]) => void;
}

/**
 * Flows in files of some span of time each, of which the newest is written to. The oldest go whole, by age and by size. A
 * file that is damaged is moved aside, said loudly, and the rest goes on. Synchronous, for a thread of its own. Errors of
 * each method: those of `openDatabase`.
 */
export class FlowStore {
  readonly #options: StoreOptions;
  readonly #readings = new Map<string, Reading>();
  readonly #followers = new Set<Follower>();
  #live: Segment | null = null;
  #liveName = "";
  #appended: FlowRecord[] = [];

  constructor(options: StoreOptions) {
    this.#options = options;
    const newest = options.files.list().at(-1);
    if (newest !== undefined) this.#resume(newest);
  }

  /** Durable after `commit`. */
  append(flow: FlowRecord): void {
    try {
      if (!this.#writing().append(flow)) {
        this.#rotate();
        if (!this.#writing().append(flow)) throw new CardeaError("internal", "a new segment has no room");
      }
      if (this.#followers.size > 0) this.#appended.push(flow);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  appendLoss(sender: string, loss: LossFacts): void {
    try {
      this.#writing().appendLoss(this.#options.nowMs(), sender, loss);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Errors: nothing that was appended since the last one is there then. */
  commit(): void {
    if (this.#live === null) return;
    try {
      this.#live.commit();
    } catch (error) {
      throw this.#failed(error);
    }
    const flows = this.#appended;
    this.#appended = [];
    if (flows.length > 0) this.#tellFollowers(flows);
  }

  /** Gives up what was appended since the last commit. */
  rollBack(): void {
    this.#live?.rollBack();
    this.#appended = [];
  }

  /** Now and then: writes roll-ups, begins a new file where that is due, and lets the oldest go. */
  tend(): void {
    try {
      this.#live?.writeRollUps();
      if (this.#live !== null && (this.#live.isFull || this.#isOld(this.#live))) this.#rotate();
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#expire();
    }
  }

  edges(query: EdgesQuery): EdgesAnswer {
    this.#settle();
    const range = alignedRange(query);
    const sums = new EdgeSums();
    let lostFlows = 0;
    this.#eachSegment((reader) => {
      reader.sum(range, (edge, kind, counts) => sums.add(edge, kind, counts));
      // What was lost is anybody's; only who reads everything is told.
      if (query.namespaces === "all") lostFlows += reader.lostFlows(range);
    });
    return { ...range, edges: sums.list(query.namespaces), lostFlows };
  }

  decisions({ fromMs, toMs, namespaces, limit }: DecisionsQuery): DecisionsAnswer {
    this.#settle();
    const all: DecisionSum[] = [];
    let [left, sinceMs] = [Math.max(1, Math.min(limit, FLOW_LIMITS.flowDecisionsMax)), toMs];
    for (const name of this.#options.files.list().toReversed()) {
      const found = this.#withReader(name, (reader) =>
        isOutside(reader.span(), { fromMs, toMs }) ? null : reader.decisions({ fromMs, toMs }, namespaces, left),
      );
      if (found === null) continue;
      all.push(...found.decisions);
      sinceMs = Math.min(sinceMs, found.sinceMs);
      left -= found.flows;
      if (left <= 0) break;
    }
    const flows = Math.min(limit, FLOW_LIMITS.flowDecisionsMax) - left;
    const isWhole = left > 0;
    return { fromMs: isWhole ? fromMs : sinceMs, toMs, decisions: addUp(all), flows, isWhole };
  }

  flows({ filter, namespaces, limit, cursor, order }: FlowsQuery): FlowsAnswer {
    this.#settle();
    const wanted = Math.max(1, Math.min(limit, FLOW_LIMITS.flowAnswerMax));
    const start = cursor === undefined ? null : parseCursor(cursor);
    const flows: FlowRecord[] = [];
    const isOldestFirst = order === "oldest-first";
    const names = isOldestFirst ? this.#options.files.list() : this.#options.files.list().toReversed();
    for (const name of names) {
      if (start !== null && (isOldestFirst ? name < start.segment : name > start.segment)) continue;
      const after = start?.segment === name ? start.after : null;
      const page = this.#withReader(name, (reader) =>
        isOutside(reader.span(), filter)
          ? null
          : reader.page(filter, namespaces, { after, limit: wanted - flows.length, isOldestFirst }),
      );
      if (page === null) continue;
      flows.push(...page.flows);
      if (page.after !== null) return { flows, cursor: `${name}:${page.after}` };
      if (flows.length >= wanted) return { flows, cursor: nextCursor(names, name) };
    }
    return { flows, cursor: null };
  }

  find(id: string, namespaces: ReadableNamespaces): readonly FlowRecord[] {
    if (!/^[0-9a-f]{8,16}$/.test(id)) return [];
    this.#settle();
    for (const everywhere of [false, true]) {
      const found: FlowRecord[] = [];
      this.#eachSegment((reader) => found.push(...reader.find(id, namespaces, everywhere)));
      if (found.length > 0) return found.slice(0, FLOW_LIMITS.flowAnswerMax);
    }
    return [];
  }

  span(): TimeRange | null {
    this.#settle();
    let [fromMs, toMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    this.#eachSegment((reader) => {
      const span = reader.span();
      if (span === null) return;
      fromMs = Math.min(fromMs, span.fromMs);
      toMs = Math.max(toMs, span.toMs);
    });
    return fromMs < toMs ? { fromMs, toMs } : null;
  }

  follow(filter: FlowFilter, namespaces: ReadableNamespaces, onFlows: Follower["onFlows"]): () => void {
    const follower = { takes: flowMatcher(filter, namespaces), onFlows };
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  /** Of all files. */
  bytes(): number {
    const { files } = this.#options;
    return files.list().reduce((sum, name) => sum + files.bytesOf(name), 0);
  }

  close(): void {
    for (const { database } of this.#readings.values()) database?.close();
    this.#readings.clear();
    this.#live?.close();
    this.#live = null;
  }

  #tellFollowers(flows: readonly FlowRecord[]): void {
    for (const { takes, onFlows } of this.#followers) {
      const taken = flows.filter(takes);
      if (taken.length > 0) onFlows(taken);
    }
  }

  /** What a question is about stands in the tables. */
  #settle(): void {
    try {
      this.commit();
      this.#live?.writeRollUps();
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #writing(): Segment {
    if (this.#live !== null) return this.#live;
    const { files } = this.#options;
    const before = files.list().at(-1) ?? "";
    // A clock that was set back must not put a file before the others.
    let startMs = Math.floor(this.#options.nowMs());
    while (nameOf(startMs) <= before) startMs = Math.max(startMs, startOf(before)) + 1;
    this.#liveName = nameOf(startMs);
    this.#live = new Segment(files.pathOf(this.#liveName), Math.floor(this.#options.nowMs()));
    return this.#live;
  }

  /** Goes on with a file of an earlier run. */
  #resume(name: string): void {
    try {
      this.#liveName = name;
      this.#live = new Segment(this.#options.files.pathOf(name), Math.floor(this.#options.nowMs()));
    } catch (error) {
      this.#live = null;
      if (toCardeaError(error).code !== "damaged") throw error;
      this.#moveAside(name, error);
    }
  }

  #rotate(): void {
    this.commit();
    const live = this.#live;
    this.#live = null;
    this.#readings.delete(this.#liveName);
    live?.close();
  }

  #isOld({ baseMs }: Segment): boolean {
    return this.#options.nowMs() - baseMs > this.#options.retentionMs / SEGMENTS_PER_RETENTION;
  }

  #expire(): void {
    const { files, retentionMs, bytesMax } = this.#options;
    const names = files.list();
    let bytes = this.bytes();
    for (const [i, name] of names.entries()) {
      if (name === this.#liveName && this.#live !== null) return;
      // A file is as old as the next one's beginning.
      const next = names[i + 1];
      const isTooOld = next !== undefined && this.#options.nowMs() - startOf(next) > retentionMs;
      if (!isTooOld && bytes <= bytesMax && names.length - i <= FLOW_LIMITS.flowSegmentsMax) return;
      const size = files.bytesOf(name);
      this.#forget(name);
      files.remove(name);
      bytes -= size;
      this.#options.log("info", "flows-expired", { file: name });
    }
  }

  /** What an error means to the store itself; answers it. */
  #failed(error: unknown): CardeaError {
    const failure = toCardeaError(error);
    this.#appended = [];
    if (failure.code === "damaged" && this.#live !== null) {
      const name = this.#liveName;
      const live = this.#live;
      this.#live = null;
      closeQuietly(live.database);
      this.#moveAside(name, failure);
    } else this.#live?.rollBack();
    return failure;
  }

  #moveAside(name: string, error: unknown): void {
    this.#forget(name);
    const aside = this.#options.files.moveAside(name);
    this.#options.log("error", "flows-damaged", {
      file: name,
      message: `moved to ${aside}`,
      error: toCardeaError(error).message,
    });
  }

  #forget(name: string): void {
    const reading = this.#readings.get(name);
    this.#readings.delete(name);
    if (reading?.database != null) closeQuietly(reading.database);
  }

  #eachSegment(read: (reader: SegmentReader) => void): void {
    for (const name of this.#options.files.list()) this.#withReader(name, (reader) => read(reader));
  }

  #withReader<T>(name: string, read: (reader: SegmentReader) => T): T | null {
    try {
      return read(this.#readerOf(name));
    } catch (error) {
      if (toCardeaError(error).code !== "damaged") throw error;
      if (name === this.#liveName && this.#live !== null) this.#failed(error);
      else this.#moveAside(name, error);
      return null;
    }
  }

  #readerOf(name: string): SegmentReader {
    const known = this.#readings.get(name);
    if (known !== undefined) {
      // The one that was used last goes last.
      this.#readings.delete(name);
      this.#readings.set(name, known);
      return known.reader;
    }
    const isLive = name === this.#liveName && this.#live !== null;
    const database = isLive ? this.#live!.database : openDatabase(this.#options.files.pathOf(name));
    const made = { database: isLive ? null : database, reader: new SegmentReader(database) };
    this.#readings.set(name, made);
    const [oldest] = this.#readings.keys();
    if (this.#readings.size > READERS_MAX && oldest !== undefined) this.#forget(oldest);
    return made.reader;
  }
}

const READERS_MAX = 16;
/** So many files make up the time that flows are kept: it is by files that they go. */
const SEGMENTS_PER_RETENTION = 8;

const NAME = /^flows-(\d{15})\.db$/;

function nameOf(startMs: number): string {
  return `flows-${String(startMs).padStart(15, "0")}.db`;
}

function startOf(name: string): number {
  return Number(NAME.exec(name)?.[1] ?? 0);
}

function isOutside(span: TimeRange | null, { fromMs, toMs }: FlowFilter): boolean {
  return span === null || (fromMs !== undefined && span.toMs <= fromMs) || (toMs !== undefined && span.fromMs >= toMs);
}

function nextCursor(names: readonly string[], name: string): string | null {
  const next = names[names.indexOf(name) + 1];
  return next === undefined ? null : `${next}:`;
}

function parseCursor(cursor: string): { segment: string; after: number | null } {
  const [, segment, after] = /^(flows-\d{15}\.db):(-?\d{1,16})?$/.exec(cursor) ?? [];
  if (segment === undefined) throw new CardeaError("bad-input", "that is no cursor of an answer");
  return { segment, after: after === undefined ? null : Number(after) };
}

function closeQuietly(database: SqlDatabase): void {
  try {
    database.close();
  } catch {
    // It is given up anyway.
  }
}
