import type { Flag } from "./command.ts";

/** Commands that ask a cluster; apart from the client, which the others need not load. */
export const KUBECONFIG_FLAG: Flag = {
  name: "kubeconfig",
  value: "FILE",
  summary: "the cluster; without it $KUBECONFIG, ~/.kube/config, or the cluster that we run in",
};
