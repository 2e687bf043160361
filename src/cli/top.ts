import { toCardeaError } from "../core/errors.ts";
import { systemClock } from "../io/clock.ts";
import type { Command, Terminal } from "./command.ts";
import { edgesOf } from "../control/flows/edge.ts";
import type { EdgesAnswer, TimeRange } from "../control/flows/query.ts";
import { renderEdges } from "./edge-row.ts";
import { paint } from "./flow-text.ts";
import { askEdges, findFlowStores, STORE_FLAGS } from "./flow-store.ts";

const EVERY_MS = 2_000;
/** Sums are by minute: the one under way, and two whole ones. */
const BACK_MS = 120_000;

/** The busiest edges of the last minutes, again and again. */
export const command: Command = {
  name: "top",
  summary: "the busiest edges of the last two minutes, until ^C; off a terminal once",
  usage: "cardea top [--rows N] [--namespace NAME] [--state DIR | --store HOST:PORT …]",
  example: "cardea top",
  positional: { min: 0, max: 0 },
  flags: [{ name: "rows", value: "N", summary: "how many edges", default: "20" }, ...STORE_FLAGS],
  async run(args, terminal) {
    const stores = await findFlowStores(args, terminal);
    const ask = (range: TimeRange): Promise<EdgesAnswer> => askEdges(stores, range, args.flags("namespace"));
    const rows = Math.max(1, Math.trunc(Number(args.flag("rows"))) || 20);
    if (!terminal.isTty) {
      for (const line of await page(ask, rows, terminal)) terminal.stdout(line);
      return 0;
    }
    const end = new AbortController();
    const ended = new Promise<void>((resolve) => {
      terminal.onSignal(() => {
        end.abort();
        resolve();
      });
    });
    while (!end.signal.aborted) {
      const lines = await page(ask, rows, terminal).catch((thrown: unknown) => [toCardeaError(thrown).message]);
      // Home, each line with the rest of it cleared, and all below: nothing flickers, as it would if all were cleared first.
      terminal.stdout(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join("\n")}\u001b[J`);
      const later = new Promise<void>((resolve) => void systemClock.setTimer(EVERY_MS, resolve));
      await Promise.race([ended, later]);
    }
    return 0;
  },
};

type Ask = (range: TimeRange) => Promise<EdgesAnswer>;

async function page(ask: Ask, rows: number, { width, colour, isTty }: Terminal): Promise<readonly string[]> {
  const nowMs = systemClock.wallMs();
  const { edges: sums, fromMs, lostFlows } = await ask({ fromMs: nowMs - BACK_MS, toMs: nowMs });
  const edges = edgesOf(sums);
  const seconds = Math.max(1, (nowMs - fromMs) / 1_000);
  const sum = (of: (edge: (typeof edges)[number]) => number): number => edges.reduce((all, edge) => all + of(edge), 0);
  const lost = lostFlows === 0 ? "" : `, ${lostFlows} lost`;
  const title = `${edges.length} edges, ${(sum(({ total }) => total) / seconds).toFixed(1)} flows/s, ${sum(({ flows }) => flows.denied)} denied in ${Math.round(seconds)} s${lost}`;
  return [
    paint(title, "bold", colour),
    "",
    ...renderEdges(edges.slice(0, rows), { seconds, width: isTty ? width : 1_000, colour }),
  ];
}
