/** What a clause can look at. Istio's attribute names where it has them (istio.io/docs/reference/config/security/conditions). */
export type Attribute = keyof typeof ATTRIBUTE_TABLE;

interface AttributeEntry {
  /** `peer` is known once a connection stands; `request` needs HTTP. */
  readonly layer: "peer" | "request";
  /** How its values are read. */
  readonly values: "text" | "host" | "path" | "ip" | "port" | "serviceAccount" | "user";
}

export const ATTRIBUTE_TABLE = {
  "source.principal": entry("peer", "text"),
  "source.namespace": entry("peer", "text"),
  "source.serviceAccount": entry("peer", "serviceAccount"),
  "source.trustDomain": entry("peer", "text"),
  "source.ip": entry("peer", "ip"),
  "remote.ip": entry("peer", "ip"),
  "destination.ip": entry("peer", "ip"),
  "destination.port": entry("peer", "port"),
  "connection.sni": entry("peer", "text"),
  "request.method": entry("request", "text"),
  "request.path": entry("request", "path"),
  "request.host": entry("request", "host"),
  "request.headers": entry("request", "text"),
  "request.auth.principal": entry("request", "user"),
  "request.auth.audiences": entry("request", "text"),
  "request.auth.presenter": entry("request", "text"),
  "request.auth.claims": entry("request", "text"),
} as const satisfies Record<string, AttributeEntry>;

type AttributeOf<Layer> = {
  [A in Attribute]: (typeof ATTRIBUTE_TABLE)[A]["layer"] extends Layer ? A : never;
}[Attribute];

export type PeerAttribute = AttributeOf<"peer">;
export type RequestAttribute = AttributeOf<"request">;

/** Whether a clause on the attribute has a meaning on HTTP alone. */
export function needsHttp(attribute: Attribute): attribute is RequestAttribute {
  return ATTRIBUTE_TABLE[attribute].layer === "request";
}

function entry<L extends AttributeEntry["layer"], V extends AttributeEntry["values"]>(layer: L, values: V) {
  return { layer, values } as const;
}
