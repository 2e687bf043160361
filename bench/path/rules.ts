/** How many rules every side's policy has. */
export const RULE_COUNT = 100;

/** What the gRPC loads call. */
export const GRPC_UNARY_PATH = "/bench.Items/Get";
export const GRPC_STREAM_PATH = "/bench.Items/List";

/** What all sides allow the caller: two methods on each of a hundred paths, and nothing else. */
export const RULE_PATHS: readonly string[] = [
  ...Array.from({ length: RULE_COUNT - 2 }, (_, i) => `/items-${i}`),
  GRPC_UNARY_PATH,
  GRPC_STREAM_PATH,
];

export const RULE_METHODS = ["GET", "POST"] as const;

/** The path that is asked for: neither the first rule nor the last. Its answer is 1 KiB. */
export const ALLOWED_PATH = "/items-50";

/** Its answer is 1 MiB. */
export const LARGE_PATH = "/items-60";

/** Every side must refuse this one, or it does less work than the others. */
export const DENIED_PATH = "/internal";
