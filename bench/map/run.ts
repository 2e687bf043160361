import { hasChromium, openBrowser } from "../../test/support/browser.ts";
import { openLargeMap } from "./large-map.ts";

// What the map's questions take over an hour of many services' traffic, asked over HTTP as the page does (processor time is of server and asker together), and how even a
// browser's frames are while the map is dragged and zoomed. Run: node bench/map/run.ts [SERVICES] [FLOWS] [--serve].
// Nothing fails here.

const numbers = process.argv.slice(2).filter((word) => /^\d+$/.test(word));
const [services = 500, flows = 200_000] = numbers.map(Number);
/** The first of them makes what the others find made. */
const TURNS = 11;
const map = await openLargeMap(services, flows);

if (process.argv.includes("--serve")) {
  report(map.url);
  await new Promise((resolve) => process.once("SIGTERM", resolve).once("SIGINT", resolve));
} else {
  await askAll();
  if (hasChromium()) await look();
}
await map.close();

async function askAll(): Promise<void> {
  const now = Date.now();
  const [hour, quarter] = [`from=${now - 3_600_000}&to=${now}`, `from=${now - 900_000}&to=${now}`];
  for (const path of [
    "mesh",
    `graph?${quarter}`,
    `graph?${hour}`,
    `flows?${hour}&limit=50`,
    `flows?${hour}&limit=50&verdict=denied`,
    `flows?${hour}&limit=50&source=team-3/service-3`,
    `coverage?${hour}`,
    `readiness?${hour}`,
    "blast-radius?workload=team-3/service-3",
  ]) {
    const took: number[] = [];
    let bytes = 0;
    let before = process.cpuUsage();
    for (let turn = 0; turn < TURNS; turn++) {
      if (turn === 1) before = process.cpuUsage();
      const begun = performance.now();
      bytes = (await (await fetch(`${map.url}/api/${path}`)).text()).length;
      took.push(performance.now() - begun);
    }
    const { user, system } = process.cpuUsage(before);
    const [first, ...rest] = took;
    const sorted = rest.toSorted((one, other) => one - other);
    const name = path.replaceAll(/(?:from|to)=\d+&?/g, "").padEnd(52);
    const range = path.includes(quarter) ? "15 min" : path.includes(hour) ? "1 h" : "";
    report(
      `${name}${range.padEnd(8)}first ${ms(first!)}, then ${ms(sorted[Math.floor(TURNS / 2)]!)}, ${ms((user + system) / 1_000 / (TURNS - 1))} of processor, ${(bytes / 1_024).toFixed(0)} KiB`,
    );
  }
}

async function look(): Promise<void> {
  const browser = await openBrowser();
  const page = await browser.open(map.url);
  const begun = performance.now();
  await page.until(`document.querySelectorAll('.card').length >= ${services}`, 60_000);
  report(`in a browser: all cards there ${ms(performance.now() - begun)} after the page`);
  for (const [what, event] of [
    [
      "dragged",
      "new PointerEvent('pointermove', { pointerId: 1, clientX: 500 + 3 * i, clientY: 400 + i, bubbles: true })",
    ],
    [
      "zoomed",
      "new WheelEvent('wheel', { deltaY: i % 60 < 30 ? -20 : 20, clientX: 500, clientY: 400, bubbles: true, cancelable: true })",
    ],
  ] as const) {
    const frames = await page.evaluate<readonly number[]>(`(async () => {
      const stage = document.querySelector('.stage');
      stage.setPointerCapture = () => {};
      stage.dispatchEvent(new PointerEvent('pointerdown', { pointerId: 1, button: 0, clientX: 500, clientY: 400, bubbles: true }));
      const took = [];
      for (let i = 0; i < 120; i++) {
        const begun = performance.now();
        stage.dispatchEvent(${event});
        await new Promise((resolve) => requestAnimationFrame(resolve));
        took.push(performance.now() - begun);
      }
      stage.dispatchEvent(new PointerEvent('pointerup', { pointerId: 1, clientX: 500, clientY: 400, bubbles: true }));
      return took;
    })()`);
    const sorted = frames.toSorted((one, other) => one - other);
    report(
      `${what}: a frame every ${ms(sorted[60]!)}, 95 of 100 within ${ms(sorted[114]!)}, none over ${ms(sorted.at(-1)!)}`,
    );
  }
  await browser.close();
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

function report(line: string): void {
  process.stdout.write(`${line}\n`);
}
