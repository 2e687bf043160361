import { expect, test } from "vitest";
import { curl } from "../support/curl.ts";
import { prepareLoneSidecar, startLoneSidecar } from "../support/lone-sidecar.ts";

// A sidecar that is a plain container is told to end at the same time as its app, which still needs it.

const DELAY_MS = 3_000;

test.each([
  ["goes on for its delay when it is told to end, and ends in good order", DELAY_MS],
  ["without a delay, as a native one, ends when it is told to", 0],
])("a sidecar %s", async (_name, drainDelayMs) => {
  const place = await prepareLoneSidecar({ drainDelayMs });
  try {
    const { child } = await startLoneSidecar(place, {});
    const ended = new Promise<number | null>((resolve) => void child.once("exit", resolve));
    const toldMs = performance.now();
    child.kill("SIGTERM");
    let servedMs = 0;
    while (child.exitCode === null && child.signalCode === null) {
      const askedMs = performance.now() - toldMs;
      const { status } = await curl(`http://127.0.0.1:${place.ports.readiness}/healthz/ready`);
      // Without a control plane it is not ready; that it says so is what matters.
      if (status === 503) servedMs = askedMs;
    }
    const tookMs = performance.now() - toldMs;
    expect(await ended).toBe(0);
    expect(tookMs >= drainDelayMs - 10).toBe(true);
    if (drainDelayMs > 0) expect(servedMs).toBeGreaterThan(drainDelayMs / 2);
  } finally {
    place.remove();
  }
});
