import type { Fault, Located } from "../core/located.ts";
import { NAMESPACE_WHEN_ABSENT } from "../core/object-metadata.ts";
import { plainOf, type Schema, type Scope } from "../core/schema.ts";
import { DESTINATION_RULE, type DestinationRule, toDestinationRule } from "./destination-rule.ts";
import { type GatewayRoute, GRPC_ROUTE, HTTP_ROUTE, toGatewayRoute } from "./gateway-route.ts";
import type { TrafficKind } from "./kinds.ts";
import { SIDECAR, type SidecarScope, toSidecarScope } from "./sidecar.ts";
import { toVirtualService, VIRTUAL_SERVICE, type VirtualService } from "./virtual-service.ts";

/** A document on traffic as it was read: checked, in one form, and knowing where it was written. */
export type TrafficDocument =
  | DocumentOf<DestinationRule>
  | DocumentOf<VirtualService>
  | DocumentOf<GatewayRoute>
  | DocumentOf<SidecarScope>;

/** Any kind of document, with what all of them have. */
export type DocumentOf<Kind> = Kind & {
  readonly name: string;
  readonly namespace: string;
  /** `namespace/name`. */
  readonly id: string;
  readonly source: { readonly file: string; readonly line: number | null };
  /** The document as plain JSON, fit to be sent and read again. */
  readonly raw: unknown;
};

export function isGatewayRoute(document: TrafficDocument): document is DocumentOf<GatewayRoute> {
  return document.kind === "HTTPRoute" || document.kind === "GRPCRoute";
}

/** A document of the kind → what it says, or null with every fault added. */
export function parseTrafficDocument(
  kind: TrafficKind,
  located: Located,
  source: { readonly file: string },
  faults: Fault[],
): TrafficDocument | null {
  const scope: Scope = { file: source.file, field: "", faults };
  switch (kind) {
    case "DestinationRule":
      return read(located, scope, DESTINATION_RULE, toDestinationRule);
    case "VirtualService":
      return read(located, scope, VIRTUAL_SERVICE, toVirtualService);
    case "HTTPRoute":
      return read(located, scope, HTTP_ROUTE, toGatewayRoute);
    case "GRPCRoute":
      return read(located, scope, GRPC_ROUTE, toGatewayRoute);
    case "Sidecar":
      return read(located, scope, SIDECAR, toSidecarScope);
  }
}

interface Named {
  readonly metadata: { readonly name: string; readonly namespace: string | null };
}

function read<Fields extends Named, Kind>(
  located: Located,
  scope: Scope,
  schema: Schema<Fields>,
  toKind: (fields: Fields, namespace: string) => Kind,
): DocumentOf<Kind> | null {
  const fields = schema(located, scope);
  if (fields === undefined) return null;
  const { name } = fields.metadata;
  const namespace = fields.metadata.namespace ?? NAMESPACE_WHEN_ABSENT;
  return {
    ...toKind(fields, namespace),
    name,
    namespace,
    id: `${namespace}/${name}`,
    source: { file: scope.file, line: located.at?.line ?? null },
    raw: plainOf(located),
  };
}
