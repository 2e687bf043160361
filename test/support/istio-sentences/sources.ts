import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { splitProto } from "./split-proto.ts";
import { type Sentence, splitMarkdown } from "./split-sentences.ts";

/** A text of Istio's whose sentences docs/istio-sentences/NAME.md goes through. */
export interface IstioSource {
  readonly name: string;
  /** The variable of the environment that names a checkout of the repository. */
  readonly checkout: "ISTIO_API" | "ISTIO_DOCS";
  readonly path: string;
  /** What was read: a commit, or the length in characters where the copy that was read named none. */
  readonly pinned: string;
  /** Of the keys of its sentences: without the source at hand, too, none can be left out of the table. */
  readonly digest: string;
  /** Only these messages and fields, and what is in them. */
  readonly only?: readonly string[];
  /** Headings to begin with and to end before, and those to pass over: how to set up and clean up a sample. */
  readonly from?: string;
  readonly until?: string;
  readonly without?: readonly string[];
}

const API = "b8f8791d9653b2edc77a071d48887e582cfe84bf";
const DOCS = "content/en/docs";
const SET_UP = ["Before you begin", "Clean up"];

export const ISTIO_SOURCES: readonly IstioSource[] = [
  proto("authorization-policy", "e5497204e249c32e", "security/v1beta1/authorization_policy.proto"),
  proto("peer-authentication", "7f77d43fe4cd0e38", "security/v1beta1/peer_authentication.proto"),
  proto("request-authentication", "5eca93f9d9f6bd32", "security/v1beta1/request_authentication.proto"),
  proto("selector", "00e4a35b72c90e33", "type/v1beta1/selector.proto", ["WorkloadSelector", "PolicyTargetReference"]),
  proto("mesh-config", "756c5d21c915711c", "mesh/v1alpha1/config.proto", [
    "MeshConfig.trust_domain",
    "MeshConfig.trust_domain_aliases",
    "MeshConfig.root_namespace",
    "MeshConfig.ExtensionProvider.EnvoyExternalAuthorization",
    "MeshConfig.extension_providers",
    "MeshConfig.ProxyPathNormalization",
    "MeshConfig.path_normalization",
  ]),
  page("concepts", "e7e4e0b111f8dc13", "concepts/security", "37,242 characters", {
    from: "Authentication",
    until: "Learn more",
  }),
  page("conditions", "16be996ef65bf84b", "reference/config/security/conditions", "3,799 characters"),
  page(
    "normalization",
    "5f8f3c1084c8384b",
    "reference/config/security/normalization",
    "028b26a7e369c3cfd694f8ae4d3ea6ee073c24bf",
  ),
  page(
    "best-practices",
    "d3fa2974e2fe343c",
    "ops/best-practices/security",
    "025b62d55c413c29b6a0c4db40ec9c6015fec54b",
    {
      from: "Mutual TLS",
      until: "Understand traffic capture limitations",
      without: [
        "How to configure",
        "Mitigation for unsupported normalization",
        "Custom normalization logic",
        "Example custom normalization (case normalization)",
        "Specialized Web Application Firewall (WAF)",
        "Feature request to Istio",
      ],
    },
  ),
  page(
    "task-http",
    "cba394127ea5bde1",
    "tasks/security/authorization/authz-http",
    "0ef777a1fd231abe7927941df28869c46077e645",
  ),
  page(
    "task-deny",
    "3081edb3bebcebbf",
    "tasks/security/authorization/authz-deny",
    "348b52cdf13adfb37a20debdb1b4c784acf2dbd6",
  ),
  page(
    "task-tcp",
    "7019efe90b535ff0",
    "tasks/security/authorization/authz-tcp",
    "052f5fbc7e628575a1a45f8051e14eca3faacbdc",
  ),
  page(
    "task-jwt",
    "71bdf20a4619c4ed",
    "tasks/security/authorization/authz-jwt",
    "0ef777a1fd231abe7927941df28869c46077e645",
  ),
  page(
    "task-custom",
    "2006357c31272ca7",
    "tasks/security/authorization/authz-custom",
    "03225b9e61ec30c822f6e2313d1b16e3e0f8c8c4",
    {
      without: [
        ...SET_UP,
        "Deploy the external authorizer",
        "Route with external authorization",
        "Performance expectations",
      ],
    },
  ),
  page(
    "task-claim",
    "347df9d47e32c5f8",
    "tasks/security/authentication/claim-to-header",
    "0e750fa3f436ad49acd541c2ec0cd126f5bf7e6a",
  ),
  page(
    "task-trust-domain",
    "a0f4a4603ed961fb",
    "tasks/security/authorization/authz-td-migration",
    "752f680ba08e4b361af687307b45504615ddd9c5",
  ),
  page(
    "task-dry-run",
    "c07975e4b13c2b79",
    "tasks/security/authorization/authz-dry-run",
    "0274d9c4ff5df9bd1309ca35b7112c2faffaf8c8",
  ),
];

function proto(name: string, digest: string, path: string, only?: readonly string[]): IstioSource {
  return { name, digest, checkout: "ISTIO_API", path, pinned: API, ...(only === undefined ? {} : { only }) };
}

type Bounds = Pick<IstioSource, "from" | "until" | "without">;

function page(name: string, digest: string, folder: string, pinned: string, bounds: Bounds = {}): IstioSource {
  const path = `${DOCS}/${folder}/index.md`;
  return { name, digest, checkout: "ISTIO_DOCS", path, pinned, without: SET_UP, ...bounds };
}

/** The sentences of a source in `checkout`, a directory, that are ours to answer for. */
export function readSentences(source: IstioSource, checkout: string): Sentence[] {
  const text = readFileSync(join(checkout, source.path), "utf8");
  return sentencesOf(source, text);
}

export function sentencesOf({ path, only, from, until, without }: IstioSource, text: string): Sentence[] {
  const all = path.endsWith(".proto") ? splitProto(text) : splitMarkdown(text, "introduction");
  const at = (heading: string | undefined, otherwise: number): number => {
    const found = all.findIndex((each) => each.place === heading);
    return found === -1 ? otherwise : found;
  };
  const within = all.slice(at(from, 0), at(until, all.length));
  return within.filter(
    ({ place }) => without?.includes(place) !== true && (only === undefined || only.some((each) => isIn(each, place))),
  );
}

function isIn(outer: string, place: string): boolean {
  return place === outer || (place.startsWith(outer) && /^[.A-Z]/.test(place.slice(outer.length)));
}

/** What a row of the table is known by: the sentence, and where it stands, for some stand in several places. */
export function keyOf({ place, words }: Sentence): string {
  return createHash("sha256").update(`${place}: ${words}`).digest("hex").slice(0, 8);
}

export function digestOf(keys: readonly string[]): string {
  return createHash("sha256")
    .update([...new Set(keys)].toSorted().join(" "))
    .digest("hex")
    .slice(0, 16);
}
