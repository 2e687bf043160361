import { Agent } from "undici";
import { CardeaError } from "../core/errors.ts";
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

export interface KubeCredentialsOptions {
  readonly connection: KubeConnection;
  readonly clock: Clock;
  /** A watch that brings nothing for so long counts as dead. */
  readonly watchSilenceMs: number;
}

/** Reads credentials from their files again as they age, and makes new connections when certificates have changed. */
export class KubeCredentials {
  readonly #options: KubeCredentialsOptions;
  #texts: Texts | null = null;
  #access: KubeAccess | null = null;
  #readAtMs = 0;

  constructor(options: KubeCredentialsOptions) {
    this.#options = options;
  }

  /**
   * What was read last stays good while a file cannot be read, or is empty: the kubelet may be about to write it. Errors:
   * `bad-input` when that is so from the beginning.
   */
  async current(): Promise<KubeAccess> {
    const isFresh = this.#options.clock.monotonicMs() - this.#readAtMs < REREAD_MS;
    if (this.#access === null || !isFresh) await this.refresh();
    return this.#access!;
  }

  /** Reads now; true when something has changed. */
  async refresh(): Promise<boolean> {
    const before = this.#texts;
    this.#readAtMs = this.#options.clock.monotonicMs();
    const texts = await readTexts(this.#options.connection).catch((thrown: unknown) => {
      if (before !== null) return before;
      throw thrown;
    });
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
    const { watchSilenceMs } = this.#options;
    this.#access = { agent: openAgent(texts, null), watchAgent: openAgent(texts, watchSilenceMs), headers };
    // Calls that are under way may finish; watches end with their time.
    void old?.agent.close();
    void old?.watchAgent.close();
  }
}

/** `silenceMs` of watches, whose bodies have no end; null: calls, which are answered in time. */
function openAgent({ ca, cert, key }: Texts, silenceMs: number | null): Agent {
  return new Agent({
    // A connection for each call or watch at a time: one that has died takes nobody else along, and goes with whoever
    // gives up on it. Over HTTP/2 all of them would share one.
    allowH2: false,
    connections: silenceMs === null ? LIMITS.kubeConnectionsMax : null,
    connectTimeout: LIMITS.kubeConnectMs,
    headersTimeout: LIMITS.kubeCallMs,
    bodyTimeout: silenceMs ?? LIMITS.kubeCallMs,
    maxResponseSize: silenceMs === null ? LIMITS.kubeAnswerBytesMax : -1,
    connect: {
      minVersion: "TLSv1.2",
      ...(ca === null ? {} : { ca }),
      ...(cert === null || key === null ? {} : { cert, key }),
    },
  });
}

async function readTexts({ ca, credential }: KubeConnection): Promise<Texts> {
  const texts = {
    ca: await read(ca),
    cert: credential.kind === "certificate" ? await read(credential.cert) : null,
    key: credential.kind === "certificate" ? await read(credential.key) : null,
    token: credential.kind === "token" ? ((await read(credential.token)) ?? "").trim() : null,
  };
  for (const [name, text] of Object.entries(texts))
    if (text === "") throw new CardeaError("bad-input", `the ${name} for the Kubernetes API is empty`);
  return texts;
}

async function read(source: TextSource | null): Promise<string | null> {
  if (source === null) return null;
  return "text" in source ? source.text : readText(source.file);
}
