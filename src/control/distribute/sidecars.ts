import { LIMITS } from "../../core/limits.ts";
import type { Clock } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";

/** A sidecar as `cardea status` shows it. Times are RFC 3339. */
export interface SidecarStatus {
  readonly spiffeId: SpiffeId;
  /** What it calls itself: a claim, for people. */
  readonly name: string;
  readonly connected: boolean;
  /** The policy revision that it has in force, as far as it has said so. */
  readonly ackedRevision: string | null;
  readonly ackedAt: string | null;
  /** Its last refusal, until it acknowledges the same type again. */
  readonly refusal: { readonly typeUrl: string; readonly error: string; readonly at: string } | null;
  /** End of the certificate that was issued last to its identity; null: none since the control plane has started. */
  readonly certificateNotAfter: string | null;
}

/** One stream of a sidecar, telling what happens on it. */
export interface SidecarTrack {
  /** It begins with empty hands: what it had in force before is gone with its process. */
  started(): void;
  acknowledged(revision: string): void;
  accepted(typeUrl: string): void;
  refused(typeUrl: string, error: string): void;
  ended(): void;
}

/** Every sidecar that is or was connected; the longest gone are forgotten first. */
export interface Sidecars {
  /** A stream has opened. Replicas share a SPIFFE ID, so the name tells them apart. */
  track(spiffeId: SpiffeId, name: string): SidecarTrack;
  /** A certificate was issued. */
  certified(spiffeId: SpiffeId, notAfterMs: number): void;
  status(): readonly SidecarStatus[];
}

interface Entry {
  readonly spiffeId: SpiffeId;
  readonly name: string;
  /** More than one for a moment when a sidecar reconnects with a new certificate. */
  openStreams: number;
  ackedRevision: string | null;
  ackedAtMs: number | null;
  refusal: { typeUrl: string; error: string; atMs: number } | null;
}

const NAME_LENGTH_MAX = 128;
const REFUSAL_LENGTH_MAX = 2_048;

export function createSidecars(clock: Clock): Sidecars {
  const entries = new Map<string, Entry>();
  const certificateEnds = new Map<SpiffeId, number>();

  function entryOf(spiffeId: SpiffeId, name: string): Entry {
    const key = `${spiffeId} ${name}`;
    const fresh: Entry = {
      spiffeId,
      name,
      openStreams: 0,
      ackedRevision: null,
      ackedAtMs: null,
      refusal: null,
    };
    const entry = entries.get(key) ?? fresh;
    // To the end of the order, which is that of last use.
    entries.delete(key);
    entries.set(key, entry);
    return entry;
  }

  function forgetOldest(): void {
    if (entries.size <= LIMITS.discoveryStreamsMax) return;
    for (const [key, entry] of entries) {
      if (entry.openStreams > 0) continue;
      entries.delete(key);
      return;
    }
  }

  return {
    track(spiffeId, claimedName) {
      const entry = entryOf(spiffeId, claimedName.slice(0, NAME_LENGTH_MAX));
      entry.openStreams += 1;
      forgetOldest();
      return trackOf(entry, clock);
    },
    certified(spiffeId, notAfterMs) {
      // To the end of the order, which is that of issuance.
      certificateEnds.delete(spiffeId);
      certificateEnds.set(spiffeId, notAfterMs);
      if (certificateEnds.size > LIMITS.discoveryStreamsMax)
        certificateEnds.delete(certificateEnds.keys().next().value!);
    },
    status: () =>
      [...entries.values()]
        .map((entry) => statusOf(entry, certificateEnds.get(entry.spiffeId) ?? null))
        .toSorted(bySpiffeIdAndName),
  };
}

function trackOf(entry: Entry, clock: Clock): SidecarTrack {
  return {
    started() {
      entry.ackedRevision = null;
      entry.ackedAtMs = null;
    },
    acknowledged(revision) {
      // The time is that of the change: a sidecar says the same again after each reconnection.
      if (entry.ackedRevision !== revision) entry.ackedAtMs = clock.wallMs();
      entry.ackedRevision = revision;
    },
    accepted(typeUrl) {
      if (entry.refusal?.typeUrl === typeUrl) entry.refusal = null;
    },
    refused(typeUrl, error) {
      entry.refusal = { typeUrl, error: error.slice(0, REFUSAL_LENGTH_MAX), atMs: clock.wallMs() };
    },
    ended() {
      entry.openStreams -= 1;
    },
  };
}

function statusOf(entry: Entry, certificateNotAfterMs: number | null): SidecarStatus {
  const { spiffeId, name, ackedRevision, refusal } = entry;
  return {
    spiffeId,
    name,
    connected: entry.openStreams > 0,
    ackedRevision,
    ackedAt: entry.ackedAtMs === null ? null : timeText(entry.ackedAtMs),
    refusal: refusal && { typeUrl: refusal.typeUrl, error: refusal.error, at: timeText(refusal.atMs) },
    certificateNotAfter: certificateNotAfterMs === null ? null : timeText(certificateNotAfterMs),
  };
}

function timeText(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

function bySpiffeIdAndName(left: SidecarStatus, right: SidecarStatus): number {
  const [a, b] = [`${left.spiffeId} ${left.name}`, `${right.spiffeId} ${right.name}`];
  return a < b ? -1 : a > b ? 1 : 0;
}
