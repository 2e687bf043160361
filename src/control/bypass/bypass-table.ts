/** `error`: a way around the mesh is open; refused in enforce mode. `warning`: it takes one step more, or is told only. */
export type BypassSeverity = "error" | "warning";

interface BypassEntry {
  readonly severity: BypassSeverity;
  /** What it lets happen. */
  readonly why: string;
  readonly mend: string;
}

/** Every way around the mesh that is looked for. docs/reference/bypass-findings.md is made from this table. */
export const BYPASS_TABLE = {
  "not-injected": error(
    "the pod is of a meshed namespace and has no working sidecar: anybody reaches it in plaintext, and no policy holds",
    "let the injector run (is another webhook undoing it?), or opt the pod out by the label cardea.dev/inject: disabled",
  ),
  "not-injectable": error(
    "the sidecar cannot be put in, so the pod will be refused",
    "see what injection says, and correct the manifest",
  ),
  "opted-out": error(
    "the pod opts out of a meshed namespace: no identity, no policy and no record of what it does",
    "take the label out, or run the pod in a namespace of its own",
  ),
  "sidecar-changed": error(
    "what injection has put in was changed, so what guards the pod is no longer known to be the mesh's",
    "change the mesh's settings or the pod's cardea.dev annotations instead",
  ),
  "sidecar-shared": error(
    "a container of the app reaches the sidecar's own files: its token is enough to get its certificate elsewhere",
    "mount no volume of the sidecar; cardea.dev/workload-api: true gives the app an identity in good order",
  ),
  "mesh-token": error(
    "a token of the mesh's audience is given to the app: it can get the workload's certificate and speak without the sidecar",
    "take the projected token out, or give it the audience of whoever the app shows it to",
  ),
  "before-sidecar": error(
    "an init container runs before the redirect rules are there: it speaks past the sidecar",
    "move it behind cardea-redirect; let no other webhook put containers in front",
  ),
  "runs-as-proxy": error(
    "the sidecar's user or group is not redirected: whatever runs under it speaks past the sidecar",
    "give it another runAsUser and runAsGroup than 1337",
  ),
  "shares-proxy-group": warning(
    "files of the sidecar's group are open to the app, and its sockets could be",
    "use another group than 1337",
  ),
  privileged: error(
    "a privileged container can rewrite the redirect rules, read the sidecar's memory and leave the pod",
    "take privileged out; ask for the one capability that is needed",
  ),
  capability: error("the capability opens a way past the sidecar", "take it out, and drop ALL"),
  "root-capabilities": warning(
    "as root with the container runtime's default capabilities it can become user 1337 (SETUID) or open packet sockets (NET_RAW), once it is breached",
    "securityContext: runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities.drop: [ALL]",
  ),
  "host-network": error(
    "the pod has its node's network: no sidecar is injected, it sees the node's traffic, and its address is the node's",
    "take hostNetwork out; if it must be, a namespace outside of the mesh",
  ),
  "host-pid": error(
    "the pod sees the node's processes: as root it reads the keys of every sidecar on the node",
    "take hostPID out",
  ),
  "host-ipc": error("the pod shares memory with all that use the node's", "take hostIPC out"),
  "host-path": error(
    "the node's directory holds other pods' tokens and keys, or the means to control them",
    "use another kind of volume; log and device agents belong outside of the mesh",
  ),
  "host-port": warning(
    "whoever reaches the node reaches the pod; many network plugins ask no NetworkPolicy there",
    "use a Service",
  ),
  "shared-processes": warning(
    "the pod's containers see each other's processes: one that is root, or becomes 1337, reads the sidecar's keys from memory",
    "take shareProcessNamespace out",
  ),
  "ephemeral-container": warning(
    "whoever debugs the pod acts with its identity: to others it is the app",
    "debug a copy of the pod (kubectl debug --copy-to), and say who may update pods/ephemeralcontainers",
  ),
  "debugs-sidecar": error(
    "an ephemeral container joins the sidecar's processes: it can read its keys",
    "target a container of the app",
  ),
  "excluded-inbound": error(
    "these ports take plaintext from anybody, without policy and without record",
    "take the annotation out; a port that is not HTTP can be opaque (cardea.dev/opaque-ports)",
  ),
  "excluded-outbound": error(
    "what is sent there is neither encrypted nor held to any rule of the mesh, and leaves no record",
    "take the annotation out, and register the destination",
  ),
  "datagram-port": error(
    "the sidecar carries TCP: UDP and SCTP reach the app in plaintext, from anybody",
    "close the port by a NetworkPolicy (cardea lint --network-policies prints one), or encrypt in the app",
  ),
} as const satisfies Record<string, BypassEntry>;

export type BypassCode = keyof typeof BYPASS_TABLE;

export function isBypassCode(text: string): text is BypassCode {
  return Object.hasOwn(BYPASS_TABLE, text);
}

function error(why: string, mend: string): BypassEntry {
  return { severity: "error", why, mend };
}

function warning(why: string, mend: string): BypassEntry {
  return { severity: "warning", why, mend };
}
