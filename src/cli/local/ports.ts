import { CardeaError } from "../../core/errors.ts";

/** A default port that was taken, and what was used in its place. */
export interface SteppedPort {
  /** e.g. `outbound port of shop/web`. */
  readonly purpose: string;
  readonly wanted: number;
  readonly got: number;
}

export interface PortChooser {
  /** A port of ours to choose: the default where it is free, else the next one that is. Errors: `unreachable`. */
  choose(purpose: string, wanted: number): Promise<number>;
  /** A port that somebody asked for. Errors: `bad-input`, naming the port, when it is taken. */
  claim(purpose: string, port: number): Promise<number>;
  readonly stepped: readonly SteppedPort[];
}

const PORT_MAX = 65_535;
/** This many taken in a row means that something else is wrong. */
const STEPS_MAX = 2_000;

/**
 * Gives each port once. `reserved` are the defaults of everybody: stepping around one must not push the next service
 * off its own.
 */
export function createPortChooser(
  isFree: (port: number) => Promise<boolean>,
  reserved: ReadonlySet<number>,
): PortChooser {
  const given = new Set<number>();
  const stepped: SteppedPort[] = [];

  async function firstFree(wanted: number): Promise<number | null> {
    for (let port = wanted; port <= Math.min(wanted + STEPS_MAX, PORT_MAX); port++) {
      const isOthers = port !== wanted && reserved.has(port);
      if (!isOthers && !given.has(port) && (await isFree(port))) return port;
    }
    return null;
  }

  return {
    stepped,
    async choose(purpose, wanted) {
      const got = await firstFree(wanted);
      if (got === null) throw new CardeaError("unreachable", `no port is free for the ${purpose} from ${wanted} on`);
      given.add(got);
      if (got !== wanted) stepped.push({ purpose, wanted, got });
      return got;
    },
    async claim(purpose, port) {
      if (given.has(port) || !(await isFree(port)))
        throw new CardeaError("bad-input", `port ${port}, asked for as the ${purpose}, is taken`);
      given.add(port);
      return port;
    },
  };
}
