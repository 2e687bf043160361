import { Agent } from "undici";
import type { KubeConnection, TextSource } from "../core/kube.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock } from "../core/ports.ts";
import { readText } from "./files.ts";

/** What a request needs: connections by the present roots and certificate, and the header of the present token. */
export interface KubeAccess {
  readonly agent: Agent;
  /** For watches: bodies without an end. */
  readonly watchAgent: Agent;
  readonly headers: Readonly<Record<string, string>>;
}

interface Texts {
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly token: string | null;
}

/** The kubelet renews a token when a fifth of its life is left, far more than this. */
const REREAD_MS = 60_000;

/** Reads credentials from their files again as they age, and makes new connections when certificates have changed. */
export class KubeCredentials {
  readonly #connection: KubeConnection;
  readonly #clock: Clock;
  #texts: Texts | null = null;
  #access: KubeAccess | null = null;
  #readAtMs = 0;

  constructor(connection: KubeConnection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  /** Errors: `bad-input` when a file cannot be read. */
  async current(): Promise<KubeAccess> {
    const isFresh = this.#clock.monotonicMs() - this.#readAtMs < REREAD_MS;
    if (this.#access === null || !isFresh) await this.refresh();
    return this.#access!;
  }

  /** Reads now; true when something has changed. */
  async refresh(): Promise<boolean> {
    const { ca, credential } = this.#connection;
    const texts: Texts = {
      ca: await read(ca),
      cert: credential.kind === "certificate" ? await read(credential.cert) : null,
      key: credential.kind === "certificate" ? await read(credential.key) : null,
      token: credential.kind === "token" ? ((await read(credential.token)) ?? "").trim() : null,
    };
    this.#readAtMs = this.#clock.monotonicMs();
    const before = this.#texts;
    const isSameTls =
      before !== null && before.ca === texts.ca && before.cert === texts.cert && before.key === texts.key;
    if (isSameTls && before.token === texts.token) return false;
    this.#texts = texts;
    await this.#put(texts, isSameTls);
    return true;
  }

  async close(): Promise<void> {
    const access = this.#access;
    if (access !== null) await Promise.all([access.agent.destroy(), access.watchAgent.destroy()]);
  }

  async #put(texts: Texts, isSameTls: boolean): Promise<void> {
    const old = this.#access;
    const headers: Record<string, string> = texts.token === null ? {} : { authorization: `Bearer ${texts.token}` };
    if (old !== null && isSameTls) {
      this.#access = { ...old, headers };
      return;
    }
    this.#access = { agent: openAgent(texts, false), watchAgent: openAgent(texts, true), headers };
    // Calls that are under way may finish; watches end with their time.
    void old?.agent.close();
    void old?.watchAgent.close();
  }
}

function openAgent({ ca, cert, key }: Texts, isForWatches: boolean): Agent {
  return new Agent({
    connections: isForWatches ? null : LIMITS.kubeConnectionsMax,
    connectTimeout: LIMITS.kubeConnectMs,
    headersTimeout: LIMITS.kubeCallMs,
    // The server sends a bookmark about every minute.
    bodyTimeout: isForWatches ? LIMITS.kubeWatchSilenceMs : LIMITS.kubeCallMs,
    maxResponseSize: isForWatches ? -1 : LIMITS.kubeAnswerBytesMax,
    connect: {
      minVersion: "TLSv1.2",
      ...(ca === null ? {} : { ca }),
      ...(cert === null || key === null ? {} : { cert, key }),
    },
  });
}

async function read(source: TextSource | null): Promise<string | null> {
  if (source === null) return null;
  return "text" in source ? source.text : readText(source.file);
}
