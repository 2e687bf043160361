import type { Address, Connection, SecureConnection } from "../../src/core/ports.ts";
import type { FlowRecord } from "../../src/observe/flow.ts";
import type { Identity } from "../../src/proxy/identity/identity.ts";
import { type Collected, collect } from "./collected.ts";
import { createSimClock, type SimClock } from "./sim-clock.ts";
import { createSimNetwork, type Disorder, type SimConnection, type SimNetwork } from "./sim-network.ts";
import { openTestMesh, type TestMesh, type TestMeshOptions } from "./test-mesh.ts";

/** A test mesh in memory, with apps that do what the test says. */
export interface SimMesh extends TestMesh {
  readonly network: SimNetwork;
  readonly clock: SimClock;
  /** Connections that the sidecar opened to its apps, oldest first. */
  readonly ordersApp: Collected<SimConnection>[];
  readonly ledgerApp: Collected<SimConnection>[];
  settle(): Promise<void>;
  /** From now on whatever is opened to the app of orders goes there, instead of being kept. */
  onOrdersApp(accept: (connection: Connection) => void): void;
  /** The same for ledger's. */
  onLedgerApp(accept: (connection: Connection) => void): void;
  /** Moves the clock on in steps, with all that follows from each. */
  pass(ms: number): Promise<void>;
  /** Somebody connects, and sends. */
  call(to: Address, text?: string): Promise<Collected<SimConnection>>;
  /** A client of mutual TLS of one's own making connects, and sends. */
  callAs(identity: Identity, to: Address, options?: CallOptions): Promise<Collected<SecureConnection>>;
  /** All records of both sidecars. */
  flows(): readonly FlowRecord[];
}

export interface CallOptions {
  readonly text?: string;
  readonly alpn?: readonly string[];
  readonly sni?: string;
}

/** When a simulated mesh begins. */
export const SIM_START_MS = Date.parse("2026-11-22T12:00:00Z");
const STEP_MS = 250;
const ORDERS_APP = { host: "127.0.0.1", port: 9080 };
const LEDGER_APP = { host: "127.0.0.1", port: 9432 };

export interface SimMeshOptions extends Partial<TestMeshOptions> {
  readonly disorder?: Disorder;
}

export async function openSimMesh({ disorder, ...options }: SimMeshOptions = {}): Promise<SimMesh> {
  const network = createSimNetwork(disorder);
  const clock = createSimClock(SIM_START_MS);
  const ordersApp: Collected<SimConnection>[] = [];
  const ledgerApp: Collected<SimConnection>[] = [];
  let acceptOrders = keepIn(ordersApp);
  await network.listen(ORDERS_APP, (connection) => acceptOrders(connection));
  let acceptLedger = keepIn(ledgerApp);
  await network.listen(LEDGER_APP, (connection) => acceptLedger(connection));
  const mesh = await openTestMesh({ network, clock, ordersApp: ORDERS_APP, ledgerApp: LEDGER_APP, ...options });
  return {
    ...mesh,
    network,
    clock,
    ordersApp,
    ledgerApp,
    settle: () => network.settle(),
    onOrdersApp: (accept) => void (acceptOrders = accept),
    onLedgerApp: (accept) => void (acceptLedger = accept),
    async pass(ms) {
      for (let passed = 0; passed < ms; passed += STEP_MS) {
        clock.advance(Math.min(STEP_MS, ms - passed));
        await network.settle();
      }
    },
    async call(to, text) {
      const caller = collect(await network.open(to));
      if (text !== undefined) caller.connection.write(Buffer.from(text, "latin1"));
      await network.settle();
      return caller;
    },
    async callAs(identity, to, { text, alpn = ["http/1.1"], sni } = {}) {
      const dialled = await network.open(to);
      const context = network.createTlsContext(identity.material);
      const secured = network.startTls(dialled, { context, handshakeTimeoutMs: 1_000, alpn, sni: sni ?? null });
      // Whoever is turned away in the handshake fails here, which is then what the test waits for.
      secured.catch(() => {});
      await network.settle();
      const caller = collect(await secured);
      if (text !== undefined) caller.connection.write(Buffer.from(text, "latin1"));
      await network.settle();
      return caller;
    },
    flows: () => [...mesh.web.flows, ...mesh.orders.flows],
  };
}

function keepIn(list: Collected<SimConnection>[]): (connection: Connection) => void {
  return (connection) => void list.push(collect(connection as SimConnection));
}

/** Sends text over a connection. */
export function say(to: Collected, text: string): void {
  to.connection.write(Buffer.from(text, "latin1"));
}
