import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openBrowser } from "./browser.ts";

// The README's pictures of the map, taken of a sample mesh that runs: `npm start`, and beside it
// node test/support/map-pictures.ts [http://127.0.0.1:15080]

const [address = "http://127.0.0.1:15080"] = process.argv.slice(2);
const directory = fileURLToPath(new URL("../../docs/images/", import.meta.url));
const DENIED = '.chip-denied[data-tie="shop/web>payments/payments"]';
const HOUR = "#window=3600";

mkdirSync(directory, { recursive: true });
const browser = await openBrowser();
try {
  const light = await browser.open(`${address}/${HOUR}`, { width: 1_200, height: 700, scheme: "light" });
  await light.until(`document.querySelector('${DENIED}') !== null`);
  await light.screenshot(`${directory}map.png`);
  const dark = await browser.open(`${address}/${HOUR}`, { width: 1_200, height: 760, scheme: "dark" });
  await dark.click(DENIED);
  await dark.until("document.querySelector('.flow-list .flow-denied') !== null");
  await dark.click(".flow-list .flow-denied .link");
  await dark.until("document.querySelector('.grant') !== null");
  await dark.screenshot(`${directory}map-denial.png`);
} finally {
  await browser.close();
}
