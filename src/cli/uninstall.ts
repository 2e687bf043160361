import { describeRemoval, planRemoval, removeAll } from "../control/install/removal.ts";
import { findSidecars } from "../control/install/sidecar-pods.ts";
import { systemClock } from "../io/clock.ts";
import { openClusterClient } from "./cluster-client.ts";
import { KUBECONFIG_FLAG } from "./cluster-flags.ts";
import type { Command } from "./command.ts";
import { NAMESPACE_FLAG, readNamespace, readRevision, REVISION_FLAG } from "./installation.ts";

/** Between two rounds a control plane that is ending may write once more. */
const PAUSE_MS = 1_000;
/** Pods that are named; all are counted. */
const NAMED_MAX = 10;

/** Takes away what `install` and the control plane have made. */
export const command: Command = {
  name: "uninstall",
  summary: "what would be removed from a cluster; with --yes remove it",
  usage: "cardea uninstall [--revision NAME] [--crds] [--yes] [--json]",
  example: "cardea uninstall --yes",
  positional: { min: 0, max: 0 },
  flags: [
    REVISION_FLAG,
    { name: "crds", value: null, summary: "Istio's kinds that we have brought, too, and with them every policy" },
    { name: "yes", value: null, summary: "remove it, instead of telling" },
    { name: "json", value: null, summary: "one JSON object for each object that goes" },
    NAMESPACE_FLAG,
    KUBECONFIG_FLAG,
  ],
  async run(args, terminal) {
    const [namespace, revision] = [readNamespace(args), readRevision(args)];
    const cluster = await openClusterClient(args, terminal);
    const { kube } = cluster;
    try {
      const options = { kube, namespace, revision, withPolicies: args.isSet("crds") };
      const say = (removal: Parameters<typeof describeRemoval>[0]): void => {
        const { resource, at } = removal;
        if (args.isSet("json")) terminal.stdout(JSON.stringify({ kind: resource.kind, ...at }));
        else terminal.stdout(describeRemoval(removal));
      };
      const sidecars = await findSidecars(kube, { namespace, revision });
      if (sidecars.length > 0) {
        const named = sidecars.slice(0, NAMED_MAX).join(", ");
        const more = sidecars.length > NAMED_MAX ? ", …" : "";
        terminal.stderr(
          `cardea: ${sidecars.length} pods have a sidecar that this control plane serves: ${named}${more}. Without it they go on until their certificates end, and then let nothing through: take the label cardea.dev/inject off their namespaces and restart them first`,
        );
      }
      if (!args.isSet("yes")) {
        for (const removal of await planRemoval(options)) say(removal);
        terminal.stderr("cardea: nothing was removed; --yes removes what is listed");
        return 0;
      }
      await removeAll(options, {
        onRemoved: say,
        pause: () => new Promise((resolve) => void systemClock.setTimer(PAUSE_MS, resolve)),
      });
      return 0;
    } finally {
      await cluster.close();
    }
  },
};
