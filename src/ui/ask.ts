import type {
  MapBlast,
  MapCoverage,
  MapExplanation,
  MapFault,
  MapFlow,
  MapFlows,
  MapGraph,
  MapMesh,
  MapReadiness,
} from "../api/map-messages.ts";
import { later, recall, request } from "./browser.ts";

/** Questions to the control plane, and what answers them. */
export interface Answers {
  readonly mesh: MapMesh;
  readonly graph: MapGraph;
  readonly flows: MapFlows;
  readonly explanation: MapExplanation;
  readonly "blast-radius": MapBlast;
  readonly coverage: MapCoverage;
  readonly readiness: MapReadiness;
}

/** token: none that is known was shown. refused: the question is at fault. away: nobody answers. */
export class AskError extends Error {
  readonly kind: "token" | "refused" | "away";

  constructor(kind: AskError["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

export type Query = Readonly<Record<string, string | number | null | readonly string[]>>;

const ANSWER_MS = 20_000;

/** Errors: AskError. */
export async function ask<Name extends keyof Answers>(
  name: Name,
  query: Query = {},
  signal?: AbortSignal,
): Promise<Answers[Name]> {
  const limit = AbortSignal.timeout(ANSWER_MS);
  const response = await send(`/api/${name}${queryText(query)}`, signal ? AbortSignal.any([signal, limit]) : limit);
  return (await response.json().catch(() => {
    throw new AskError("away", "the answer broke off");
  })) as Answers[Name];
}

function queryText(query: Query): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === null) continue;
    for (const each of typeof value === "object" ? value : [value]) params.append(name, String(each));
  }
  const text = params.toString();
  return text === "" ? "" : `?${text}`;
}

async function send(path: string, signal: AbortSignal): Promise<Response> {
  const token = recall("token");
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  let response: Response;
  try {
    response = await request(path, headers, signal);
  } catch {
    throw new AskError("away", "the control plane does not answer");
  }
  if (response.ok) return response;
  const fault = (await response.json().catch(() => null)) as MapFault | null;
  if (response.status === 401) throw new AskError("token", fault?.message ?? "a token is needed");
  throw new AskError(response.status < 500 ? "refused" : "away", fault?.message ?? `status ${response.status}`);
}

export interface LiveListener {
  onDenials(flows: readonly MapFlow[], more: number): void;
  onChanged(): void;
  onState(isConnected: boolean): void;
}

const RETRY_MS = [500, 1_000, 2_000, 5_000, 10_000];

/** Listens for as long as the page is open, and begins again when the control plane was away. */
export async function listen(listener: LiveListener): Promise<never> {
  for (let failures = 0; ; failures++) {
    try {
      const response = await send("/api/live", new AbortController().signal);
      listener.onState(true);
      failures = 0;
      await readEvents(response, listener);
    } catch {
      // It is said below, and tried again.
    }
    listener.onState(false);
    const waitMs = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]!;
    await new Promise<void>((resolve) => void later(waitMs, resolve));
  }
}

/** Server-sent events, as far as they are ours: `event:` and `data:` in one line each. */
async function readEvents(response: Response, listener: LiveListener): Promise<void> {
  if (response.body === null) return;
  let rest = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) takeEvent(block, listener);
  }
}

function takeEvent(block: string, listener: LiveListener): void {
  const name = /^event: (.*)$/m.exec(block)?.[1];
  const data = /^data: (.*)$/m.exec(block)?.[1];
  if (name === "changed") listener.onChanged();
  if (name !== "denials" || data === undefined) return;
  const { flows, more } = JSON.parse(data) as { flows: readonly MapFlow[]; more: number };
  listener.onDenials(flows, more);
}
