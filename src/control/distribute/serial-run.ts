/** Something that is done again and again, one after the other. */
export interface SerialRun {
  /**
   * Asks for a run that begins after this call. Any number of requests during a run make one more; the promise is
   * settled when that one has ended.
   */
  request(): Promise<void>;
}

export function createSerialRun(act: () => Promise<void>): SerialRun {
  let running: Promise<void> | null = null;
  let following: Promise<void> | null = null;

  async function follow(current: Promise<void>): Promise<void> {
    await current.catch(() => undefined);
    following = null;
    await run();
  }

  function run(): Promise<void> {
    running = act().finally(() => {
      running = null;
    });
    return running;
  }

  return {
    request() {
      if (running === null) return run();
      following ??= follow(running);
      return following;
    },
  };
}
