import { describe, expect, it } from "vitest";
import { parseYaml } from "../../../../src/config/yaml.ts";
import { type Fault, formatFault } from "../../../../src/core/located.ts";
import { parseAuthenticationDocument } from "../../../../src/policy/authentication/document.ts";

function read(text: string) {
  const faults: Fault[] = [];
  const [located] = parseYaml(text, "peer.yaml", faults);
  const document = parseAuthenticationDocument("PeerAuthentication", located!, { file: "peer.yaml" }, faults);
  return { document, faults: faults.map(formatFault) };
}

const HEAD =
  "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: default\n  namespace: shop\n";

const port = (text: string) => `spec:\n  selector: {matchLabels: {app: a}}\n  portLevelMtls: ${text}\n`;

describe("a PeerAuthentication", () => {
  it("is read whole: selector, mode, and modes of ports", () => {
    const text = `${HEAD}spec:
  selector: {matchLabels: {app: finance}}
  mtls: {mode: STRICT}
  portLevelMtls:
    8080: {mode: DISABLE}
    "9090": {mode: PERMISSIVE}
    7070: {mode: UNSET}
    6060: {}
`;
    const { document, faults } = read(text);
    expect(faults).toEqual([]);
    expect(document).toMatchObject({ id: "shop/default", mode: "STRICT", source: { file: "peer.yaml", line: 1 } });
    expect([...document!.matchLabels]).toEqual([["app", "finance"]]);
    if (document?.kind !== "PeerAuthentication") return expect.unreachable();
    expect([...document.ports]).toEqual([
      [8080, "DISABLE"],
      [9090, "PERMISSIVE"],
      [7070, null],
      [6060, null],
    ]);
  });

  it.each([
    ["", "no spec"],
    ["spec: {}\n", "an empty spec"],
    ["spec:\n  mtls: {}\n", "mtls without a mode"],
    ["spec:\n  mtls: {mode: UNSET}\n", "UNSET"],
    ["spec:\n  selector: {}\n", "an empty selector"],
  ])("leaves the mode to what is above it: %j (%s)", (spec) => {
    const { document, faults } = read(HEAD + spec);
    expect(faults).toEqual([]);
    expect(document).toMatchObject({ mode: null, ports: new Map(), matchLabels: new Map() });
  });

  it.each([
    ["a mode that is none", "spec:\n  mtls: {mode: LAX}\n", "7:16: spec.mtls.mode: expected one of UNSET, STRICT"],
    ["a mode in small letters", "spec:\n  mtls: {mode: strict}\n", "did you mean `STRICT`?"],
    ["a mode that is no text", "spec:\n  mtls: {mode: 3}\n", "7:16: spec.mtls.mode: expected one of"],
    ["an unknown field", "spec:\n  mtls: {mod: STRICT}\n", "spec.mtls.mod: unknown field; did you mean `mode`?"],
    ["a field of another kind", "spec:\n  rules: [{}]\n", "7:3: spec.rules: unknown field"],
    [
      "ports without a selector",
      "spec:\n  portLevelMtls: {8080: {mode: DISABLE}}\n",
      "7:18: spec.portLevelMtls: needs a selector with labels",
    ],
    [
      "ports with a selector without labels",
      "spec:\n  selector: {matchLabels: {}}\n  portLevelMtls: {8080: {mode: DISABLE}}\n",
      "8:18: spec.portLevelMtls: needs a selector with labels",
    ],
    ["no port", port("{}"), "8:18: spec.portLevelMtls: must not be empty"],
    ["port 0", port("{0: {mode: STRICT}}"), 'expected a container port from 1 to 65535, found "0"'],
    ["a port that is too high", port("{65536: {mode: STRICT}}"), 'found "65536"'],
    ["a port by name", port("{http: {mode: STRICT}}"), 'found "http"'],
    ["a port in another notation", port("{0x50: {mode: STRICT}}"), 'found "0x50"'],
    ["a port given twice", port("{80: {mode: STRICT}, 80: {mode: DISABLE}}"), "is given twice"],
    ["a port's mode that is none", port("{80: {mode: OPEN}}"), 'spec.portLevelMtls["80"].mode: expected one of'],
    ["a wildcard in a label", "spec:\n  selector: {matchLabels: {app: a*}}\n", "wildcards have no meaning"],
    ["a version that is none", "", "apiVersion"],
  ])("with %s is a fault that says where", (_name, spec, message) => {
    const text = HEAD + spec;
    const { document, faults } = read(message === "apiVersion" ? text.replace("/v1\n", "/v2\n") : text);
    expect(document).toBeNull();
    expect(faults.join("\n")).toContain(message);
  });
});
