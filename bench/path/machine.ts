import { availableParallelism, cpus, loadavg, release, totalmem, type } from "node:os";

/** `Linux 6.1, 2 cores (AMD EPYC), 7.8 GiB` */
export function describeMachine(): string {
  const model = cpus()[0]?.model.trim() ?? "unknown processor";
  return `${type()} ${release()}, ${availableParallelism()} cores (${model}), ${(totalmem() / 2 ** 30).toFixed(1)} GiB`;
}

/** `load average 0.1 0.2 0.3` */
export function describeLoadAverage(): string {
  return `load average ${loadavg()
    .map((value) => value.toFixed(1))
    .join(" ")}`;
}
