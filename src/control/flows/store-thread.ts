import { toCardeaError } from "../../core/errors.ts";
import { systemClock } from "../../io/clock.ts";
import { openDatabaseFiles } from "../../io/database-files.ts";
import { threadParent } from "../../io/worker.ts";
import { FlowCollector } from "./collector.ts";
import { FlowStore } from "./store.ts";
import type { FromThread, Question, ThreadData, ToThread } from "./thread-messages.ts";

// The flow store's own thread: SQLite is synchronous, and certificates and discovery must not wait for it.

const parent = threadParent();
const { directory, retentionMs, bytesMax } = parent.data as ThreadData;
const store = new FlowStore({
  files: openDatabaseFiles(directory, ".db"),
  retentionMs,
  bytesMax,
  nowMs: () => systemClock.wallMs(),
  log: (level, event, fields) => say({ at: "log", level, event, fields }),
});
const collector = new FlowCollector(store, systemClock);
const followers = new Map<number, () => void>();

parent.onMessage((message) => take(message as ToThread));
say({ at: "ready" });

function say(message: FromThread): void {
  parent.post(message);
}

function take(message: ToThread): void {
  switch (message.at) {
    case "export": {
      const { call, request, sender } = message;
      const bytes = Buffer.from(request.buffer, request.byteOffset, request.byteLength);
      collector.export(bytes, sender, (outcome) => {
        if (outcome.at === "stored") say({ at: "stored", call, collected: outcome.collected });
        else fail(call, outcome.error);
      });
      break;
    }
    case "ask":
      try {
        collector.commit();
        say({ at: "answered", call: message.call, answer: answer(message.question) });
      } catch (thrown) {
        fail(message.call, thrown);
      }
      break;
    case "follow": {
      const { call, filter, namespaces } = message;
      followers.set(
        call,
        store.follow(filter, namespaces, (flows) => say({ at: "followed", call, flows })),
      );
      break;
    }
    case "unfollow":
      followers.get(message.call)?.();
      followers.delete(message.call);
      break;
    case "close":
      collector.close();
      store.close();
      say({ at: "closed" });
      break;
  }
}

function answer(question: Question): unknown {
  switch (question.about) {
    case "edges":
      return store.edges(question.query);
    case "decisions":
      return store.decisions(question.query);
    case "flows":
      return store.flows(question.query);
    case "flow":
      return store.find(question.id, question.namespaces);
    case "span":
      return store.span();
  }
}

function fail(call: number, thrown: unknown): void {
  const { code, message } = toCardeaError(thrown);
  say({ at: "failed", call, code, message });
}
