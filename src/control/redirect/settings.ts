import { type Cidr, parseCidr } from "../../core/cidr.ts";
import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { POD_PORTS, podPortUse } from "../../core/pod-ports.ts";
import { isInRanges, parsePortRanges, type PortRange } from "../../core/port-range.ts";

/** What of a pod's TCP is turned aside to its sidecar. */
export interface RedirectSettings {
  /** Where the sidecar takes what the app dials, and what comes to the app. */
  readonly outboundPort: number;
  readonly inboundPort: number;
  /** Whose own connections are left alone: the sidecar's user, and (null: no) group. */
  readonly uid: number;
  readonly gid: number | null;
  readonly inboundPorts: "all" | readonly PortRange[];
  readonly excludedInboundPorts: readonly PortRange[];
  /** Destinations that are turned aside; `outboundPorts` are, besides, wherever they lead. */
  readonly outboundCidrs: "all" | readonly Cidr[];
  readonly excludedOutboundCidrs: readonly Cidr[];
  readonly outboundPorts: readonly PortRange[];
  readonly excludedOutboundPorts: readonly PortRange[];
}

/** Each is a flag of the command, and a variable of the environment. */
export const REDIRECT_OPTIONS = [
  option("outbound-port", "PORT", "where the sidecar takes what the app dials", String(POD_PORTS.outbound)),
  option("inbound-port", "PORT", "where the sidecar takes what comes to the app", String(POD_PORTS.inbound)),
  option("uid", "NUMBER", "the sidecar's user: its own connections are left alone", "1337"),
  option("gid", "NUMBER", "the same for a group; none when it is left out"),
  option("inbound-ports", "PORTS", "ports to capture, as 8080,9000-9010 or *", "*"),
  option("exclude-inbound-ports", "PORTS", "ports not to capture, besides the sidecar's own", ""),
  option("outbound-cidrs", "CIDRS", "destinations to capture, as 10.0.0.0/8,2001:db8::/32 or *", "*"),
  option("exclude-outbound-cidrs", "CIDRS", "destinations not to capture", ""),
  option("outbound-ports", "PORTS", "ports to capture whatever the destination", ""),
  option("exclude-outbound-ports", "PORTS", "ports not to capture; 53 (DNS) never is", ""),
] as const;

type OptionName = (typeof REDIRECT_OPTIONS)[number]["name"];

/** Callers reach these themselves: HBONE, metrics, and readiness with the kubelet's probes. */
export const DIRECT_PORTS: readonly number[] = [POD_PORTS.hbone, POD_PORTS.metrics, POD_PORTS.readiness];

function option<const Name extends string>(name: Name, value: string, summary: string, fallback?: string) {
  const variable = `CARDEA_REDIRECT_${name.toUpperCase().replaceAll("-", "_")}`;
  return { name, variable, value, summary, ...(fallback === undefined ? {} : { default: fallback }) };
}

/** Each as a flag has it, else the environment, else the default. Errors: `bad-input`, every fault on a line of its own. */
export function parseRedirectSettings(
  flag: (name: string) => string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): RedirectSettings {
  const faults: string[] = [];
  const read = <T>(name: OptionName, parse: (text: string) => T): T => {
    const { variable, ...declared } = REDIRECT_OPTIONS.find((each) => each.name === name)!;
    const given = flag(name);
    const from = given === undefined && env[variable] !== undefined ? variable : `--${name}`;
    const text = given ?? env[variable] ?? ("default" in declared ? declared.default : "");
    try {
      return parse(text);
    } catch (thrown) {
      faults.push(`${from}: ${toCardeaError(thrown).message}`);
      return undefined as T;
    }
  };
  const settings: RedirectSettings = {
    outboundPort: read("outbound-port", parsePort),
    inboundPort: read("inbound-port", parsePort),
    uid: read("uid", parseUid),
    gid: read("gid", (text) => (text === "" ? null : parseId(text))),
    inboundPorts: read("inbound-ports", (text) => (text.trim() === "*" ? "all" : parseAppPorts(text))),
    excludedInboundPorts: read("exclude-inbound-ports", parsePortRanges),
    outboundCidrs: read("outbound-cidrs", (text) => (text.trim() === "*" ? "all" : parseCidrs(text))),
    excludedOutboundCidrs: read("exclude-outbound-cidrs", parseCidrs),
    outboundPorts: read("outbound-ports", parsePortRanges),
    excludedOutboundPorts: read("exclude-outbound-ports", parsePortRanges),
  };
  if (faults.length === 0 && settings.outboundPort === settings.inboundPort)
    faults.push("--inbound-port: the same as --outbound-port; what comes in and what goes out must be told apart");
  if (faults.length > 0) throw new CardeaError("bad-input", faults.join("\n"));
  return Object.freeze(settings);
}

function parsePort(text: string): number {
  const [range, ...more] = parsePortRanges(text);
  if (range !== undefined && more.length === 0 && range.from === range.to) return range.from;
  throw new Error(`expected one port, found ${JSON.stringify(text)}`);
}

const ID_MAX = 4_294_967_294;

function parseId(text: string): number {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (id <= ID_MAX) return id;
  throw new Error(`expected a number up to ${ID_MAX}, found ${JSON.stringify(text)}`);
}

function parseUid(text: string): number {
  const uid = parseId(text);
  if (uid === 0) throw new Error("with the sidecar as root, no app that runs as root would be captured");
  return uid;
}

/** Our own ports would be captured and then refused: whoever lists one means something else. */
function parseAppPorts(text: string): readonly PortRange[] {
  const ranges = parsePortRanges(text);
  const own = Object.values(POD_PORTS).find((port) => isInRanges(ranges, port));
  if (own === undefined) return ranges;
  throw new Error(`port ${own} is the sidecar's own (${podPortUse(own)})`);
}

/** More of them say that something else was meant, and each is a rule. */
const CIDRS_MAX = 256;

function parseCidrs(text: string): readonly Cidr[] {
  if (text.trim() === "") return [];
  const words = text.split(",");
  if (words.length > CIDRS_MAX) throw new Error(`expected at most ${CIDRS_MAX} ranges, found ${words.length}`);
  return words.map((word) => parseCidr(word.trim()));
}
