import { afterEach, expect, test } from "vitest";
import { command } from "../../../src/cli/ready.ts";
import type { Listening } from "../../../src/core/ports.ts";
import { openHttpAdmin } from "../../../src/io/http-admin.ts";
import { keptTerminal, runCommand } from "../../support/kept-terminal.ts";

const open: Listening[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
});

/** A sidecar's readiness port that answers these, one after the other. */
async function sidecarOf(...answers: readonly (readonly [number, string])[]): Promise<string> {
  const left = [...answers];
  const answer = () => {
    const [status, body] = left.length > 1 ? left.shift()! : left[0]!;
    return { status, contentType: "text/plain", body };
  };
  const server = await openHttpAdmin({
    at: { host: "127.0.0.1", port: 0 },
    hosts: "any",
    routes: [{ path: "/healthz/ready", answer }],
  });
  open.push(server);
  return String(server.address.port);
}

async function run(...words: readonly string[]) {
  const terminal = keptTerminal();
  return { code: await runCommand(command, words, terminal), err: terminal.err.join("\n") };
}

test("a sidecar that would serve is ready", async () => {
  expect(await run("--port", await sidecarOf([200, "ready\n"]))).toEqual({ code: 0, err: "" });
});

test("one that would not says why", async () => {
  const port = await sidecarOf([503, "no certificate yet\n"]);
  expect(await run("--port", port)).toEqual({ code: 1, err: "no certificate yet" });
});

test("one that is not there is not ready", async () => {
  const port = await sidecarOf([200, "ready\n"]);
  await open.splice(0)[0]!.close();
  const { code, err } = await run("--port", port);
  expect(code).toBe(1);
  expect(err).toContain("does not answer");
});

test("who waits is told once it is", async () => {
  const port = await sidecarOf([503, "no policies yet\n"], [503, "no policies yet\n"], [200, "ready\n"]);
  expect(await run("--wait", "60s", "--port", port)).toEqual({ code: 0, err: "" });
});

test.each([
  [["--wait", "soon"], "--wait: "],
  [["--port", "0"], "--port: expected a port"],
  [["--port", "http"], "--port: expected a port"],
])("%j is refused", async (words, message) => {
  const { code, err } = await run(...words);
  expect(code).toBe(2);
  expect(err).toContain(message);
});
