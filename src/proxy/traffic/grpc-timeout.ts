/** What a gRPC caller allows for its call (`grpc-timeout`), in milliseconds; null when it says nothing that is valid. */
export function parseGrpcTimeout(text: string): number | null {
  if (!/^\d{1,8}[HMSmun]$/.test(text)) return null;
  return Number(text.slice(0, -1)) * UNIT_MS[text.at(-1) as keyof typeof UNIT_MS];
}

/** At most eight digits: whole milliseconds, or seconds where those are too many. grpc/grpc doc/PROTOCOL-HTTP2.md. */
export function formatGrpcTimeout(ms: number): string {
  const whole = Math.max(1, Math.floor(ms));
  return whole <= 99_999_999 ? `${whole}m` : `${Math.min(99_999_999, Math.floor(whole / 1_000))}S`;
}

const UNIT_MS = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 } as const;
