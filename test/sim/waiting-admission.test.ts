import { describe, expect, it } from "vitest";
import { CardeaError } from "../../src/core/errors.ts";
import { LIMITS } from "../../src/core/limits.ts";
import type { AdmissionStep, AskedRequest, Asking, StepAnswer } from "../../src/proxy/admission-steps.ts";
import { openSimMesh, say } from "../support/sim-mesh.ts";
import { BETWEEN, policy, policySetOf, WEB_MAY } from "../support/test-mesh.ts";

const GET = "GET /x HTTP/1.1\r\nHost: orders\r\n\r\n";
const GRPC = "POST /a.B/C HTTP/1.1\r\nHost: orders\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";
const WEBSOCKET = "GET /ws HTTP/1.1\r\nHost: o\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

const PIECE = Buffer.alloc(65_536, "x");
/** Three connections lie before whoever waits, of which each holds its backlog and one read more. */
const HELD_BYTES_MAX = 3 * (LIMITS.writeBacklogBytesMax + 2 * PIECE.length);

const DENIED: StepAnswer = {
  decision: { allow: false, policy: "shop/asks", rule: 0, reason: "deny-rule-matched" },
  error: new CardeaError("denied-by-policy", "the server said no"),
  answer: null,
};

interface Question {
  readonly asked: AskedRequest;
  readonly asking: Asking;
  /** Aborted or not. */
  readonly signal: AbortSignal;
  answer(answer: StepAnswer): void;
  fail(error: Error): void;
}

/** A step that waits for the test. */
function stepOf(): { readonly step: AdmissionStep; readonly questions: Question[] } {
  const questions: Question[] = [];
  const step: AdmissionStep = {
    ask(asked, asking) {
      const { promise, resolve, reject } = Promise.withResolvers<StepAnswer>();
      questions.push({ asked, asking, signal: asking.signal, answer: resolve, fail: reject });
      return promise;
    },
  };
  return { step, questions };
}

function withSteps(steps: readonly AdmissionStep[], revision = "first", policies = [WEB_MAY]) {
  return policySetOf(policies, {}, revision, steps);
}

async function openWaiting(options: Parameters<typeof openSimMesh>[0]) {
  const { step, questions } = stepOf();
  const mesh = await openSimMesh({ ...options, policy: withSteps([step]) });
  mesh.web.policy.set(policySetOf([]));
  return { mesh, questions };
}

describe.each(BETWEEN)("a request that has to wait for its decision, with %s between the sidecars", (between) => {
  it("goes on once it is answered, and not before", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    expect(questions).toHaveLength(1);
    expect(mesh.ordersApp).toEqual([]);
    questions[0]!.answer(null);
    await mesh.settle();
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "allowed", policy: "shop/web-may", status: 200 }]);
  });

  it("is denied by a step, and its record names the step's policy", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    questions[0]!.answer(DENIED);
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 [^]*x-cardea-denial: [0-9a-f]{16}[^]*RBAC: access denied\n$/i);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.orders.flows).toMatchObject([
      { verdict: "denied", reason: "deny-rule-matched", policy: "shop/asks", rule: 0, revision: "first", status: 403 },
    ]);
  });

  it("is still denied by policy after its steps have let it pass", async () => {
    const { mesh, questions } = await openWaiting({ between });
    mesh.orders.policy.set(withSteps([{ ask: async () => null }], "second", []));
    const caller = await mesh.call(mesh.toOrders, GET);
    expect(questions).toEqual([]);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", policy: "mesh/default", revision: "second" }]);
  });

  it("is denied in a gRPC call's own terms", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(mesh.toOrders, GRPC);
    questions[0]!.answer(DENIED);
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 200 [^]*grpc-status: 7\r\n/);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", grpcStatus: 7 }]);
  });

  it.each([
    ["rejects", (questions: Question[]) => questions[0]!.fail(new Error("no such host"))],
    ["rejects by a code", (questions: Question[]) => questions[0]!.fail(new CardeaError("internal", "broken"))],
  ])("is refused when a step %s", async (_, fail) => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    fail(questions);
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 500 /);
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "error", reason: "internal", status: 500 }]);
  });

  it("is refused when a step throws at once, or the second one does", async () => {
    const throws: AdmissionStep = {
      ask: () => {
        throw new Error("broken");
      },
    };
    const { mesh } = await openWaiting({ between });
    mesh.orders.policy.set(withSteps([throws]));
    expect((await mesh.call(mesh.toOrders, GET)).text()).toMatch(/^HTTP\/1\.1 500 /);
    mesh.orders.policy.set(withSteps([{ ask: async () => null }, throws]));
    expect((await mesh.call(mesh.toOrders, GET)).text()).toMatch(/^HTTP\/1\.1 500 /);
    expect(mesh.ordersApp).toEqual([]);
  });

  it("is refused after LIMITS.admissionWaitMs, and whoever is asked is told to stop", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    await mesh.pass(LIMITS.admissionWaitMs - 500);
    expect(caller.text()).toBe("");
    expect(questions[0]!.signal.aborted).toBe(false);
    await mesh.pass(1_000);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 503 /);
    expect(questions[0]!.signal.aborted).toBe(true);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "error", reason: "admission-timeout", path: "/x" }]);
    questions[0]!.answer(null);
    await mesh.settle();
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.orders.flows).toHaveLength(1);
  });

  it("is given up when its caller goes, and a late yes forwards nothing", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    caller.connection.destroy({ reset: true });
    await mesh.settle();
    expect(questions[0]!.signal.aborted).toBe(true);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "error", reason: "downstream-reset", path: "/x" }]);
    questions[0]!.answer(null);
    await mesh.settle();
    expect(mesh.ordersApp).toEqual([]);
    expect(mesh.orders.flows).toHaveLength(1);
  });

  it("holds its body meanwhile: the sender is slowed, and all of it arrives after", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(mesh.toOrders, "POST /x HTTP/1.1\r\nHost: o\r\nContent-Length: 104857600\r\n\r\n");
    let sent = 0;
    for (let isTaken = true; isTaken && sent < HELD_BYTES_MAX; sent += PIECE.length) {
      isTaken = caller.connection.write(PIECE);
      await mesh.settle();
    }
    expect(sent).toBeLessThan(HELD_BYTES_MAX);
    expect(mesh.ordersApp).toEqual([]);
    questions[0]!.answer(null);
    await mesh.settle();
    expect(mesh.ordersApp[0]!.text().split("\r\n\r\n")[1]).toHaveLength(sent);
  });

  it("of which all has come already is sent whole", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(
      mesh.toOrders,
      "POST /x HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
    );
    questions[0]!.answer(null);
    await mesh.settle();
    expect(mesh.ordersApp[0]!.text()).toMatch(/one[^]*two[^]*\r\n0\r\n\r\n$/);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
  });

  it("that is denied with its body unread costs its neighbours nothing", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const first = await mesh.call(mesh.toOrders, "POST /x HTTP/1.1\r\nHost: o\r\nContent-Length: 900000\r\n\r\n");
    say(first, "x".repeat(900_000));
    const second = await mesh.call(mesh.toOrders, GET);
    questions[0]!.answer(DENIED);
    questions[1]!.answer(null);
    await mesh.settle();
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(first.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(second.text()).toMatch(/hi$/);
  });

  it("is waited for when the sidecar is drained", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    let isDrained = false;
    void mesh.orders.sidecar.drain().then(() => (isDrained = true));
    await mesh.pass(1_000);
    expect(isDrained).toBe(false);
    questions[0]!.answer(null);
    await mesh.settle();
    say(mesh.ordersApp[0]!, OK);
    await mesh.pass(10_000);
    expect(caller.text()).toMatch(/hi$/);
    expect(isDrained).toBe(true);
  });

  it("is answered when the time for draining is up, and its question is called off", async () => {
    const { mesh, questions } = await openWaiting({ between });
    await mesh.call(mesh.toOrders, GET);
    void mesh.orders.sidecar.drain();
    await mesh.pass(10_000);
    expect(questions[0]!.signal.aborted).toBe(true);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "error", reason: "draining" }]);
    expect(mesh.ordersApp).toEqual([]);
  });
});

describe.each(BETWEEN)("a new policy while a request waits, with %s between the sidecars", (between) => {
  it("denies it, though the old one would have let it pass", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    mesh.orders.policy.set(policySetOf([], {}, "second"));
    await mesh.settle();
    questions[0]!.answer(null);
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", policy: "mesh/default", revision: "second" }]);
  });

  it("that asks nobody any more does not heed a no that belongs to the old one", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    mesh.orders.policy.set(policySetOf([WEB_MAY], {}, "second"));
    questions[0]!.answer(DENIED);
    await mesh.settle();
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "allowed", revision: "second" }]);
  });

  it("asks whom it names, within the same time", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    await mesh.pass(LIMITS.admissionWaitMs - 2_000);
    const later = stepOf();
    mesh.orders.policy.set(withSteps([later.step], "second"));
    questions[0]!.answer(null);
    await mesh.settle();
    expect(later.questions).toHaveLength(1);
    expect(mesh.ordersApp).toEqual([]);
    await mesh.pass(3_000);
    expect(caller.text()).toMatch(/^HTTP\/1\.1 503 /);
    expect(later.questions[0]!.signal.aborted).toBe(true);
    expect(mesh.orders.flows).toMatchObject([{ reason: "admission-timeout" }]);
  });

  it("after the wait still ends what was admitted late", async () => {
    const { mesh, questions } = await openWaiting({ between });
    const caller = await mesh.call(mesh.toOrders, GET);
    questions[0]!.answer(null);
    await mesh.settle();
    mesh.orders.policy.set(policySetOf([], {}, "second"));
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(mesh.orders.flows).toMatchObject([{ reason: "permission-lost", revision: "second" }]);
  });
});

describe("the steps before a decision", () => {
  it("are asked in turn, and the first no is the last question", async () => {
    const second = stepOf();
    const mesh = await openSimMesh({ policy: withSteps([{ ask: () => DENIED }, second.step]) });
    expect((await mesh.call(mesh.toOrders, GET)).text()).toMatch(/^HTTP\/1\.1 403 /);
    expect(second.questions).toEqual([]);
  });

  it("that answer at once make nobody wait", async () => {
    const mesh = await openSimMesh({ policy: withSteps([{ ask: () => null }]) });
    await mesh.call(mesh.toOrders, GET);
    expect(mesh.ordersApp[0]!.text()).toMatch(/^GET \/x /);
  });

  it("change what is decided on and what is forwarded alike", async () => {
    const step: AdmissionStep = {
      async ask(asked) {
        asked.headers.push("x-tier", "gold");
        asked.target = "/x?seen=1";
        return null;
      },
    };
    const gold = policy("gold", {
      rules: [{ when: [{ key: "request.headers[x-tier]", values: ["gold"] }] }],
    });
    const mesh = await openSimMesh({ policy: withSteps([step], "first", [gold]) });
    await mesh.call(mesh.toOrders, GET);
    expect(mesh.ordersApp[0]!.text()).toMatch(/^GET \/x\?seen=1 HTTP[^]*x-tier: gold\r\n/);
  });

  it("do not deny where the mesh only audits, and the record says what they would have done", async () => {
    const set = policySetOf([WEB_MAY], { enforcement: "AUDIT" }, "first", [{ ask: async () => DENIED }]);
    const mesh = await openSimMesh({ policy: set });
    const caller = await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(caller.text()).toMatch(/hi$/);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "would-deny", policy: "shop/asks", rule: 0 }]);
  });

  it("hold up a WebSocket's handshake, and nothing comes before its answer", async () => {
    const { mesh, questions } = await openWaiting({ between: "http/1.1" });
    const caller = await mesh.call(mesh.toOrders, WEBSOCKET);
    questions[0]!.answer(null);
    await mesh.settle();
    say(mesh.ordersApp[0]!, SWITCH);
    await mesh.settle();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 101 /);
    say(caller, "ping");
    await mesh.settle();
    expect(mesh.ordersApp[0]!.text()).toMatch(/ping$/);
  });

  it("refuse a WebSocket whose data comes while they are asked", async () => {
    const { mesh, questions } = await openWaiting({ between: "http/1.1" });
    const client = await mesh.callAs(
      mesh.authority.issue("spiffe://cluster.local/ns/shop/sa/web"),
      mesh.ordersInbound,
      {
        text: `${WEBSOCKET}early`,
      },
    );
    expect(client.text()).toMatch(/^HTTP\/1\.1 400 /);
    expect(questions[0]!.signal.aborted).toBe(true);
    questions[0]!.answer(null);
    await mesh.settle();
    expect(mesh.ordersApp).toEqual([]);
  });

  it("keep pipelined requests in order", async () => {
    const { mesh, questions } = await openWaiting({ between: "http/1.1" });
    const client = await mesh.callAs(
      mesh.authority.issue("spiffe://cluster.local/ns/shop/sa/web"),
      mesh.ordersInbound,
      {
        text: `${GET}${GET.replace("/x", "/y")}`,
      },
    );
    expect(questions.map(({ asked }) => asked.path)).toEqual(["/x"]);
    questions[0]!.answer(DENIED);
    await mesh.settle();
    expect(questions.map(({ asked }) => asked.path)).toEqual(["/x", "/y"]);
    questions[1]!.answer(null);
    await mesh.settle();
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(client.text()).toMatch(/^HTTP\/1\.1 403 [^]*HTTP\/1\.1 200 OK[^]*hi$/);
  });
});
