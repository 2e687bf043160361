import { formatYaml } from "../config/yaml-write.ts";
import { findAbsentCrds, servesAdmissionPolicies } from "../control/install/find-absent-crds.ts";
import { ISTIO_CRDS } from "../control/install/istio-crds.ts";
import { makeManifests, namespaceManifest } from "../control/install/manifests.ts";
import { parseValues, type Profile } from "../control/install/parse-values.ts";
import { OWN_CRDS } from "../control/install/own-crds.ts";
import { joinValues } from "../control/install/values.ts";
import { CardeaError, toCardeaError } from "../core/errors.ts";
import { type JsonObject, valueAt } from "../core/json-value.ts";
import { type Fault, formatFault } from "../core/located.ts";
import { readText } from "../io/files.ts";
import type { Command, ParsedArgs, Terminal } from "./command.ts";
import { openClusterClient } from "./cluster-client.ts";
import { KUBECONFIG_FLAG } from "./cluster-flags.ts";
import { NAMESPACE_FLAG, readNamespace } from "./installation.ts";

/** All manifests of a cluster's control plane. */
export const command: Command = {
  name: "install",
  summary: "print the manifests that install Cardea in a Kubernetes cluster",
  usage: "cardea install [--profile default|ha] [--values FILE...] [--set PATH=VALUE...] [--revision NAME]",
  example: "cardea install --profile ha | kubectl apply -f -",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "profile", value: "NAME", summary: "default, or ha: three replicas that keep apart", default: "default" },
    {
      name: "values",
      short: "f",
      value: "FILE",
      repeat: true,
      summary: "settings, as deploy/chart/values.yaml has them",
    },
    { name: "set", value: "PATH=VALUE", repeat: true, summary: "one setting; stands above the files" },
    {
      name: "revision",
      value: "NAME",
      summary: "install beside what is there, for namespaces with cardea.dev/rev: NAME",
    },
    NAMESPACE_FLAG,
    {
      name: "crds",
      value: "WHICH",
      summary: "Istio's kinds: auto (those that the cluster lacks, when it can be asked), all or none",
      default: "auto",
    },
    KUBECONFIG_FLAG,
  ],
  async run(args, terminal) {
    const given = await readValues(args);
    const namespace = readNamespace(args);
    const { crds, hasGuards } = await askCluster(args, terminal);
    const values = hasGuards ? given : withoutGuard(given, terminal);
    const documents = [namespaceManifest(namespace), ...OWN_CRDS, ...crds, ...makeManifests({ values, namespace })];
    terminal.stdout(formatYaml(documents).trimEnd());
    return 0;
  },
};

/** Errors: `bad-input`, every fault on a line of its own. */
async function readValues(args: ParsedArgs): Promise<JsonObject> {
  const profile = args.flag("profile");
  if (profile !== "default" && profile !== "ha")
    throw new CardeaError("bad-input", `--profile: expected default or ha, found ${JSON.stringify(profile)}`);
  const files = await Promise.all(args.flags("values").map(async (file) => ({ file, text: await readText(file) })));
  const revision = args.flag("revision");
  const sets = [...args.flags("set"), ...(revision === undefined ? [] : [`revision=${revision}`])];
  const faults: Fault[] = [];
  const values = parseValues({ profile: profile satisfies Profile, files, sets }, faults);
  if (values === null) throw new CardeaError("bad-input", faults.map(formatFault).join("\n"));
  return values;
}

/** What the cluster lacks of Istio's kinds, and whether its API server can keep rules by itself. */
interface Asked {
  readonly crds: readonly JsonObject[];
  readonly hasGuards: boolean;
}

async function askCluster(args: ParsedArgs, terminal: Terminal): Promise<Asked> {
  const which = args.flag("crds");
  if (which === "all") return { crds: ISTIO_CRDS, hasGuards: true };
  if (which === "none") return { crds: [], hasGuards: true };
  if (which !== "auto")
    throw new CardeaError("bad-input", `--crds: expected auto, all or none, found ${JSON.stringify(which)}`);
  try {
    const client = await openClusterClient(args, terminal);
    try {
      const hasGuards = await servesAdmissionPolicies(client.kube);
      return { crds: await findAbsentCrds(client.kube, ISTIO_CRDS), hasGuards };
    } finally {
      await client.close();
    }
  } catch (thrown) {
    // One that was named has to be good; one that we have only found need not be.
    if (args.isSet("kubeconfig")) throw thrown;
    terminal.stderr(
      `cardea: Istio's kinds (AuthorizationPolicy and others) are left out, since the cluster could not be asked whether it has them: ${toCardeaError(thrown).message}\ncardea: where there is no Istio, add --crds all; where there is, --crds none says so`,
    );
    return { crds: [], hasGuards: true };
  }
}

function withoutGuard(values: JsonObject, terminal: Terminal): JsonObject {
  if (valueAt(values, ["injection", "guard"]) === true)
    terminal.stderr(
      "cardea: the guard that refuses pods without a sidecar is left out: the server is older than Kubernetes 1.30",
    );
  return joinValues(values, { injection: { guard: false } });
}
