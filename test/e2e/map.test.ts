import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Browser, type BrowserPage, hasChromium, openBrowser } from "../support/browser.ts";
import { cardea } from "../support/cardea.ts";
import { curl } from "../support/curl.ts";
import { startTestMesh, type TestMesh } from "../support/local-mesh.ts";

let mesh: TestMesh;

beforeAll(async () => {
  mesh = await startTestMesh();
  await vi.waitFor(() => expect(mesh.attempts()).toBeGreaterThanOrEqual(9), 60_000);
}, 130_000);

afterAll(() => mesh.close());

function address(): string {
  const { host, port } = mesh.run().control.map!;
  return `http://${host}:${port}`;
}

test("the mesh says where its map is", async () => {
  expect(mesh.run().control.map).toMatchObject({ host: "127.0.0.1" });
  expect((await fetch(address())).status).toBe(200);
});

describe.skipIf(!hasChromium())("in a browser (skipped without chromium)", () => {
  const BREACH = '.chip-denied[data-tie="shop/web>payments/payments"]';
  let browser: Browser;
  let page: BrowserPage;

  beforeAll(async () => {
    browser = await openBrowser();
    page = await browser.open(`${address()}/`);
  }, 60_000);

  afterAll(() => browser.close());

  test("the four services stand in their namespaces, and the breach's lines say that they were denied", async () => {
    await page.until("document.querySelectorAll('.card-workload').length === 4");
    const names = await page.evaluate<string[]>(
      "[...document.querySelectorAll('.group-name')].map((e) => e.textContent)",
    );
    expect(names).toEqual(expect.arrayContaining(["shop", "payments", "ledger"]));
    const label = await page.until<string>(`document.querySelector('${BREACH}')?.ariaLabel`);
    expect(label).toMatch(/^shop\/web to payments\/payments, .*requests? denied, .*mutual TLS, post-quantum/);
    const quiet = await page.until<string>(
      `document.querySelector('.chip-allowed[data-tie="shop/orders>payments/payments"]')?.ariaLabel`,
    );
    expect(quiet).not.toContain("denied");
  });

  test("a click on a denied line, and on one of its flows, tells why and what would allow exactly that", async () => {
    await page.click(BREACH);
    await page.until("document.querySelector('.flow-list .flow-denied') !== null");
    const flow = await openFlow("POST /payments", (selector) => page.click(selector));
    expect(flow).toContain("ALLOW policies select the workload and none of their rules matches");
    expect(flow).toMatch(/rule 0 of payments\/payments\s*policies\/payments\.yaml:\d+/);
    expect(flow).toContain("cluster.local/ns/shop/sa/orders");
    expect(flow).toContain("nothing is applied from here");
  });

  test("policy check takes the suggested policy, and it allows that request and no other", async () => {
    const yaml = await page.evaluate<string>(
      "[...document.querySelectorAll('.yaml .line')].map((e) => e.textContent).join('\\n') + '\\n'",
    );
    const granted = join(mesh.directory, "granted");
    mkdirSync(granted);
    writeFileSync(join(granted, "grant.yaml"), yaml);
    const checked = await cardea(["policy", "check", granted]);
    expect([checked.code, checked.stderr]).toEqual([0, expect.any(String)]);
    const decide = async (changes: Asked): Promise<string> => {
      const flags = ["--policies", granted, "--policies", mesh.policies, "--mesh", mesh.meshFile];
      const { stdout } = await cardea(["policy", "eval", ...flags, "--requests", "-"], { stdin: question(changes) });
      return (JSON.parse(stdout) as { decision: string }).decision;
    };
    expect(await decide({})).toBe("allow");
    const others: readonly Asked[] = [
      { method: "PUT" },
      { path: "/payments/1" },
      { path: "/payments/" },
      { port: 8081 },
      { account: "other" },
      { principal: null },
    ];
    for (const other of others) expect([other, await decide(other)]).toEqual([other, "deny"]);
  });

  test("the same by keyboard alone: from the first Tab to the explanation", async () => {
    await page.go(`${address()}/`);
    await page.until(`document.querySelector('${BREACH}') !== null`);
    await pressUntil("Tab", "document.activeElement.matches('.card')");
    await page.press("ArrowRight");
    await pressUntil("Tab", "document.activeElement.matches('.chip')");
    await pressUntil("ArrowRight", `document.activeElement.matches('${BREACH}')`);
    expect(await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")).toBe("solid");
    await page.press("Enter");
    await page.until("document.querySelector('.flow-list .flow-denied') !== null");
    await pressUntil("Tab", "document.activeElement.matches('.flow-denied .link')");
    await page.press("Enter");
    await page.until(
      "document.activeElement.matches('.panel') && document.querySelector('.story .tag-denied') !== null",
    );
    await page.press("Escape");
    await page.until("document.querySelector('.story') === null");
  });

  test("what is denied now shows up by itself", async () => {
    await page.go(`${address()}/`);
    await page.until("document.querySelector('.connection-live') !== null");
    const { outbound } = mesh.service("web");
    await vi.waitFor(async () => {
      const { status } = await curl("-x", `http://127.0.0.1:${outbound.port}`, "http://orders.shop:8080/internal/live");
      expect(status).toBe(403);
      const feed = await page.evaluate<string>("document.querySelector('.feed')?.textContent ?? ''");
      expect(feed).toContain("GET /internal/live");
    }, 30_000);
  });

  test("a look into the past shows what was then, and Live comes back", async () => {
    await page.evaluate(
      "(() => { const s = document.querySelector('.slider'); s.value = s.min; s.dispatchEvent(new Event('input', { bubbles: true })); })()",
    );
    await page.until("document.querySelector('.live').ariaPressed === 'false'");
    await page.until("document.querySelectorAll('.chip').length === 0");
    expect(await page.evaluate("document.querySelectorAll('.card-workload').length")).toBe(4);
    await page.click(".live");
    await page.until(`document.querySelector('${BREACH}') !== null`);
  });

  test("what a breach of web could reach is shown on the map and in words", async () => {
    await page.click('.card[data-node="shop/web"]');
    await page.click(".blast .button");
    await page.until(`document.querySelector('.card[data-node="shop/orders"]').dataset.hops === "1"`);
    await page.until(`document.querySelector('.card[data-node="ledger/ledger"]').dataset.hops === "3"`);
    expect(await page.evaluate("document.querySelector('.blast-story').textContent")).toContain("3 workloads of 3");
  });

  test("policies and readiness have a page each", async () => {
    await page.click(".tabs .tab:nth-child(3)");
    const policies = await page.until<string>(
      "document.querySelector('.page:not([hidden]) table')?.closest('.page').innerText",
    );
    expect(policies).toContain("shop/orders");
    await page.click(".tabs .tab:nth-child(4)");
    const text =
      "[...document.querySelectorAll('.page:not([hidden]) .notice-good')].map((e) => e.textContent).join(' ')";
    const ready = await page.until<string>(text);
    expect(ready).toContain("Ready for STRICT");
    expect(ready).toContain("Ready for default deny");
  });

  test("while the control plane is away it is said, what was known stays, and it comes back by itself", async () => {
    await page.go(`${address()}/`);
    await page.until(`document.querySelector('${BREACH}') !== null`);
    // Who would start it again stands still until the page has said so.
    const supervisor = mesh.run().up!.pid;
    process.kill(supervisor, "SIGSTOP");
    try {
      process.kill(mesh.run().control.process!.pid, "SIGKILL");
      await page.until("document.querySelector('.banners .notice') !== null", 60_000);
      expect(await page.evaluate("document.querySelectorAll('.card-workload').length")).toBe(4);
    } finally {
      process.kill(supervisor, "SIGCONT");
    }
    await page.until(
      "document.querySelector('.connection-live') !== null && document.querySelector('.banners .notice') === null",
      60_000,
    );
  }, 130_000);

  test("nothing was ever asked of anybody else, and no policy of the page was broken", () => {
    expect(page.requests.length).toBeGreaterThan(30);
    expect(page.requests.filter((url) => !url.startsWith(`${address()}/`))).toEqual([]);
    // That the control plane was away is in the browser's log, too.
    const complaints = page.complaints.filter((text) => !/net::ERR_(?:CONNECTION|INCOMPLETE|EMPTY)/.test(text));
    expect(complaints).toEqual([]);
  });

  async function openFlow(what: string, open: (selector: string) => Promise<void>): Promise<string> {
    await page.evaluate(
      `[...document.querySelectorAll('.flow-denied .link')].find((e) => e.textContent === '${what}').id = 'wanted'`,
    );
    await open("#wanted");
    return page.until<string>("document.querySelector('.grant') && document.querySelector('.story').innerText");
  }

  async function pressUntil(key: string, condition: string): Promise<void> {
    for (let turn = 0; turn < 60; turn++) {
      if (await page.evaluate<boolean>(condition)) return;
      await page.press(key);
    }
    throw new Error(`${key} does not lead to ${condition}`);
  }
});

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly port?: number;
  readonly account?: string;
  readonly principal?: null;
}

/** What web asked of payments, or something else. */
function question({ method = "POST", path = "/payments", port = 8080, account = "web", principal }: Asked): string {
  return `${JSON.stringify({
    id: "1",
    source: {
      principal: principal === null ? null : `spiffe://cluster.local/ns/shop/sa/${account}`,
      ip: "127.0.0.1",
    },
    destination: {
      namespace: "payments",
      labels: { app: "payments" },
      serviceAccount: "payments",
      ip: "127.0.0.1",
      port,
    },
    protocol: "http",
    request: { method, path, host: "payments.payments:8080", headers: {} },
  })}\n`;
}
