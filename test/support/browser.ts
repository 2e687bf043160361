import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { WebSocket } from "ws";

export const CHROMIUM = process.env["CARDEA_TEST_CHROMIUM"] ?? "/usr/bin/chromium";

export function hasChromium(): boolean {
  return spawnSync(CHROMIUM, ["--version"]).error === undefined;
}

/** A browser that is told what to do through the DevTools protocol. */
export interface Browser {
  open(url: string, look?: PageLook): Promise<BrowserPage>;
  close(): Promise<void>;
}

export interface PageLook {
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: "dark" | "light";
}

export interface BrowserPage {
  /** The value of an expression in the page. */
  evaluate<T>(expression: string): Promise<T>;
  /** Until the expression is true to JavaScript; its value. */
  until<T>(expression: string, timeoutMs?: number): Promise<T>;
  /** A real click in the middle of an element, once it is there. */
  click(selector: string): Promise<void>;
  /** One at a point of the window. */
  clickAt(x: number, y: number): Promise<void>;
  /** A real key, such as `Enter`, `ArrowRight` or `x`. */
  press(key: string): Promise<void>;
  type(text: string): Promise<void>;
  resize(width: number, height: number): Promise<void>;
  screenshot(path: string): Promise<void>;
  go(url: string): Promise<void>;
  /** Addresses of all that was asked for. */
  readonly requests: readonly string[];
  /** What the page said of faults: exceptions, errors of its console, broken policies. */
  readonly complaints: readonly string[];
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
  readonly sessionId?: string;
}

const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-sync",
  "--disable-background-networking",
  "--disable-component-update",
  "--hide-scrollbars",
  "--force-color-profile=srgb",
  "--remote-debugging-port=0",
];

/** Starts a browser of its own, with a profile that goes with it. */
export async function openBrowser(): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), "cardea-browser-"));
  const child = spawn(CHROMIUM, [...FLAGS, `--user-data-dir=${profile}`, "about:blank"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const connection = await connect(await addressOf(child));
  return {
    open: (url, look) => openPage(connection, url, look),
    async close() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      connection.socket.close();
      child.kill("SIGKILL");
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
}

async function addressOf(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stderr! })) {
    const [, address] = /DevTools listening on (ws:\S+)/.exec(line) ?? [];
    if (address === undefined) continue;
    // A pipe that nobody reads would fill and stop the writer.
    child.stderr!.resume();
    return address;
  }
  throw new Error("the browser ended before it listened");
}

/** As the page's own language has it. */
function isTrue(value: unknown): boolean {
  return value !== null && value !== undefined && value !== false && value !== "" && value !== 0;
}

interface Connection {
  readonly socket: WebSocket;
  send(method: string, params?: object, sessionId?: string): Promise<Record<string, unknown>>;
  onEvent(sessionId: string, listener: (method: string, params: Record<string, unknown>) => void): void;
}

async function connect(address: string): Promise<Connection> {
  const socket = new WebSocket(address, { perMessageDeflate: false, maxPayload: 256 * 1024 * 1024 });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const calls = new Map<number, { resolve(result: Record<string, unknown>): void; reject(error: Error): void }>();
  const listeners = new Map<string, (method: string, params: Record<string, unknown>) => void>();
  let nextId = 1;
  socket.on("message", (data: Buffer) => {
    const { id, method, params = {}, result = {}, error, sessionId = "" } = JSON.parse(data.toString()) as Message;
    if (id === undefined) listeners.get(sessionId)?.(method ?? "", params);
    else if (error === undefined) calls.get(id)?.resolve(result);
    else calls.get(id)?.reject(new Error(error.message));
    if (id !== undefined) calls.delete(id);
  });
  return {
    socket,
    onEvent: (sessionId, listener) => void listeners.set(sessionId, listener),
    send: (method, params = {}, sessionId) =>
      new Promise((resolve, reject) => {
        const id = nextId++;
        calls.set(id, { resolve, reject });
        socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
      }),
  };
}

async function openPage(connection: Connection, url: string, look: PageLook = {}): Promise<BrowserPage> {
  const { targetId } = await connection.send("Target.createTarget", { url: "about:blank" });
  const attached = await connection.send("Target.attachToTarget", { targetId, flatten: true });
  const page = new Page(connection, attached["sessionId"] as string);
  await page.begin(look);
  await page.go(url);
  return page;
}

const KEY_CODES: Readonly<Record<string, number>> = {
  Enter: 13,
  Escape: 27,
  Tab: 9,
  ArrowLeft: 37,
  ArrowUp: 38,
  ArrowRight: 39,
  ArrowDown: 40,
  End: 35,
  Home: 36,
};

class Page implements BrowserPage {
  readonly requests: string[] = [];
  readonly complaints: string[] = [];
  readonly #connection: Connection;
  readonly #session: string;

  constructor(connection: Connection, session: string) {
    this.#connection = connection;
    this.#session = session;
  }

  async begin({ width = 1_440, height = 900, scheme = "light" }: PageLook): Promise<void> {
    this.#connection.onEvent(this.#session, (method, params) => this.#note(method, params));
    for (const domain of ["Page", "Runtime", "Network", "Log", "Audits"]) await this.#send(`${domain}.enable`);
    await this.resize(width, height);
    await this.#send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  }

  async go(url: string): Promise<void> {
    await this.#send("Page.navigate", { url });
    await this.until("document.readyState === 'complete'");
  }

  async resize(width: number, height: number): Promise<void> {
    await this.#send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
  }

  async evaluate<T>(expression: string): Promise<T> {
    const options = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.#send("Runtime.evaluate", options);
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return (result as { value: T }).value;
  }

  async until<T>(expression: string, timeoutMs = 30_000): Promise<T> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const value = await this.evaluate<T>(expression).catch(() => null);
      if (isTrue(value)) return value as T;
      if (performance.now() > endMs) throw new Error(`never true: ${expression}\n${await this.#text()}`);
      await this.evaluate("new Promise((resolve) => requestAnimationFrame(resolve))").catch(() => null);
    }
  }

  async click(selector: string): Promise<void> {
    const quoted = JSON.stringify(selector);
    // It has stood still for two frames, and nothing lies over it.
    const place = `(async () => {
      const found = document.querySelector(${quoted});
      if (found === null) return null;
      found.scrollIntoView({ block: "nearest", inline: "nearest" });
      const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
      const middle = () => { const { left, top, width, height } = found.getBoundingClientRect(); return { x: left + width / 2, y: top + height / 2 }; };
      const before = middle();
      await frame(); await frame();
      const { x, y } = middle();
      const over = document.elementFromPoint(x, y);
      return before.x === x && before.y === y && over !== null && (found.contains(over) || over.contains(found)) ? { x, y } : null;
    })()`;
    const { x, y } = await this.until<{ x: number; y: number }>(place);
    await this.clickAt(x, y);
  }

  async clickAt(x: number, y: number): Promise<void> {
    const at = { x, y, button: "left", clickCount: 1 };
    await this.#send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
    await this.#send("Input.dispatchMouseEvent", { type: "mousePressed", ...at });
    await this.#send("Input.dispatchMouseEvent", { type: "mouseReleased", ...at });
  }

  async press(key: string): Promise<void> {
    const code = KEY_CODES[key] ?? key.toUpperCase().charCodeAt(0);
    const text = key === "Enter" ? "\r" : key.length === 1 ? key : undefined;
    const what = { key, windowsVirtualKeyCode: code, ...(text === undefined ? {} : { text }) };
    await this.#send("Input.dispatchKeyEvent", { type: text === undefined ? "rawKeyDown" : "keyDown", ...what });
    await this.#send("Input.dispatchKeyEvent", { type: "keyUp", ...what });
  }

  async type(text: string): Promise<void> {
    await this.#send("Input.insertText", { text });
  }

  async screenshot(path: string): Promise<void> {
    await this.evaluate(
      "document.fonts.ready.then(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))))",
    );
    const { data } = await this.#send("Page.captureScreenshot", { format: "png" });
    writeFileSync(path, Buffer.from(data as string, "base64"));
  }

  #send(method: string, params: object = {}): Promise<Record<string, unknown>> {
    return this.#connection.send(method, params, this.#session);
  }

  #text(): Promise<string> {
    return this.evaluate<string>("document.body.innerText").catch(() => "");
  }

  #note(method: string, params: Record<string, unknown>): void {
    if (method === "Network.requestWillBeSent") this.requests.push((params["request"] as { url: string }).url);
    if (method === "Runtime.exceptionThrown" || method === "Audits.issueAdded")
      this.complaints.push(JSON.stringify(params));
    const { level, type } = { ...(params["entry"] as object), ...params } as { level?: string; type?: string };
    if (method === "Log.entryAdded" && level === "error") this.complaints.push(JSON.stringify(params));
    if (method === "Runtime.consoleAPICalled" && type === "error") this.complaints.push(JSON.stringify(params));
  }
}
