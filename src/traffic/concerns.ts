import type { TrafficDocument } from "./document.ts";
import { isExportedTo } from "./export-to.ts";
import { namespaceOfHost } from "./hosts.ts";

/** Whether a client of the namespace, whatever its labels are, may heed the document. */
export function concerns(document: TrafficDocument, namespace: string, rootNamespace: string): boolean {
  switch (document.kind) {
    case "Sidecar":
      // The control plane heeds it.
      return false;
    case "VirtualService":
      return isExportedTo(document.exportTo, namespace);
    case "HTTPRoute":
    case "GRPCRoute":
      return (
        document.namespace === namespace || document.parents.some((parent) => parent.namespace === document.namespace)
      );
    case "DestinationRule": {
      if (!isExportedTo(document.exportTo, namespace)) return false;
      if (document.namespace === namespace) return true;
      if (document.clientLabels !== null) return false;
      // Elsewhere than at home and in the root namespace, a rule speaks of its own namespace's services alone.
      const ofHost = namespaceOfHost(document.host);
      return document.namespace === rootNamespace || ofHost === null || ofHost === document.namespace;
    }
  }
}
