/** How many rules every side's policy has. */
export const RULE_COUNT = 100;

/** What all sides allow the caller: two methods on each of a hundred paths, and nothing else. */
export const RULE_PATHS: readonly string[] = Array.from({ length: RULE_COUNT }, (_, i) => `/items-${i}`);

export const RULE_METHODS = ["GET", "POST"] as const;

/** The path that is asked for: neither the first rule nor the last. */
export const ALLOWED_PATH = RULE_PATHS[RULE_COUNT / 2]!;

/** Every side must refuse this one, or it does less work than the others. */
export const DENIED_PATH = "/internal";
