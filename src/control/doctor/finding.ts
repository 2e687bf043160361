/** What one check says of one thing. */
export interface Finding {
  readonly check: CheckName;
  /** `unknown`: it could not be looked at. */
  readonly verdict: "ok" | "warning" | "error" | "unknown";
  /** e.g. `namespace shop`; empty for the cluster as a whole. */
  readonly about: string;
  readonly message: string;
  /** What to do about it; null: nothing. */
  readonly mend: string | null;
}

/** Every check, in the order in which they are told. The guide to troubleshooting and `cardea doctor --json` name them so. */
export const CHECK_TABLE = {
  version: "The server is new enough.",
  permissions: "Whoever asks may install.",
  apis: "The server has the groups that the mesh stands on.",
  meshes: "No other mesh injects into the same namespaces.",
  "pod-security": "Namespaces of the mesh allow what redirection needs.",
  replicas: "All replicas of the control plane are ready.",
  webhooks: "The API server can ask the webhooks, and knows whom to trust.",
  guard: "The API server itself refuses pods that nobody has given their sidecar.",
  roots: "The roots are published, and do not end soon.",
  leader: "One replica does what one alone does.",
  revisions: "Namespaces name revisions that are there.",
  meshless: "Pods of the mesh's namespaces have sidecars.",
  unguarded: "No policy speaks of a pod that has nobody to enforce it.",
  plaintext: "No pod without a sidecar counts on mutual TLS, and the mesh lets those call that have to.",
  sidecars: "Sidecars are ready, of the image that is installed, and ask a control plane that is there.",
} as const satisfies Record<string, string>;

export type CheckName = keyof typeof CHECK_TABLE;

/** Made by the checks of one name. */
export function reporter(check: CheckName) {
  const make =
    (verdict: Finding["verdict"]) =>
    (message: string, { about = "", mend = null }: { about?: string; mend?: string | null } = {}): Finding => ({
      check,
      verdict,
      about,
      message,
      mend,
    });
  return { ok: make("ok"), warning: make("warning"), error: make("error"), unknown: make("unknown") };
}
