import { type JsonValue, memberOf } from "../../core/json-value.ts";
import { ANNOTATIONS } from "../inject/annotations.ts";
import { type BypassFinding, finding } from "./bypass-finding.ts";
import type { BypassCode } from "./bypass-table.ts";
import { appContainersOf, itemsOf, textMapOf, wordOf } from "./pod-view.ts";

/** What a pod keeps from its sidecar: by its annotations, and by ports that are not TCP. */
export function checkTraffic(pod: JsonValue): readonly BypassFinding[] {
  return [...checkAnnotations(pod), ...checkDatagrams(pod)];
}

/** Whatever they list is left out. */
const LEAVE_OUT = [
  ["excludeInboundPorts", "excluded-inbound"],
  ["excludeOutboundPorts", "excluded-outbound"],
  ["excludeOutboundCidrs", "excluded-outbound"],
] as const satisfies readonly (readonly [keyof typeof ANNOTATIONS, BypassCode])[];

/** Whatever they do not list is left out. */
const TAKE_IN = [
  ["inboundPorts", "excluded-inbound"],
  ["outboundCidrs", "excluded-outbound"],
] as const satisfies readonly (readonly [keyof typeof ANNOTATIONS, BypassCode])[];

function checkAnnotations(pod: JsonValue): readonly BypassFinding[] {
  const annotations = textMapOf(memberOf(pod, "metadata"), "annotations");
  const said = (name: keyof typeof ANNOTATIONS): readonly (readonly [string, string])[] => {
    const keys = [ANNOTATIONS[name].key, ...ANNOTATIONS[name].aliases.map(({ key }) => key)];
    return keys.flatMap((key) => (Object.hasOwn(annotations, key) ? [[key, annotations[key]!.trim()] as const] : []));
  };
  return [
    ...LEAVE_OUT.flatMap(([name, code]) =>
      said(name).flatMap(([key, text]) => (text === "" ? [] : [finding(code, placeOf(key), shown(text))])),
    ),
    ...TAKE_IN.flatMap(([name, code]) =>
      said(name).flatMap(([key, text]) =>
        text === "*" ? [] : [finding(code, placeOf(key), `all but ${shown(text)}`)],
      ),
    ),
  ];
}

function placeOf(key: string): readonly string[] {
  return ["metadata", "annotations", key];
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}

function checkDatagrams(pod: JsonValue): readonly BypassFinding[] {
  return appContainersOf(pod).flatMap(({ container, name, path }) =>
    itemsOf(container, "ports").flatMap(([port, index]) => {
      const protocol = memberOf(port, "protocol") ?? "TCP";
      if (protocol !== "UDP" && protocol !== "SCTP") return [];
      const what = `${protocol} port ${wordOf(memberOf(port, "containerPort"))} of the container ${name}`;
      return [finding("datagram-port", [...path, "ports", index], what)];
    }),
  );
}
