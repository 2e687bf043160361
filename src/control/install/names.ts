import { FLOWS_PORT } from "../../config/kube-control-config.ts";
import { controlName } from "../kube/control-name.ts";
import { any, type Condition, type Expression, isSet, not, text, textWhen, value } from "./template.ts";

/** Ports of the control plane, by the names that others know them by. */
export const CONTROL_PORTS = { grpc: 15_012, metrics: 15_014, webhooks: 15_017, flows: FLOWS_PORT } as const;

/** `cardea-control`, or `cardea-control-<revision>`: what everything of one installation is called. */
export const CONTROL: Expression = withRevision(controlName(null));

/** Whose objects are whose: a label of everything that is installed, and the selector of the control plane's pods. */
export const OWNER_LABEL = "cardea.dev/installation";

/** The value of the owner's label where the revision has no name. */
export const DEFAULT_OWNER = "default";

const OWNER = text(textWhen(isSet("revision"), value("revision")), textWhen(not(isSet("revision")), DEFAULT_OWNER));

/** On all that we bring to a cluster, ours and what the control plane makes. */
export const PART_OF = { "app.kubernetes.io/part-of": "cardea" } as const;

export const LABELS = { "app.kubernetes.io/name": "cardea", ...PART_OF, [OWNER_LABEL]: OWNER };

/** Of the control plane's pods; a Deployment's selector cannot be changed later. */
export const SELECTOR = { "app.kubernetes.io/component": "control", [OWNER_LABEL]: OWNER };

/** It serves namespaces that name no revision. */
export const IS_DEFAULT: Condition = any(not(isSet("revision")), isSet("defaultRevision"));

/** A name with the revision's behind it. */
export function withRevision(name: string): Expression {
  return text(name, textWhen(isSet("revision"), "-", value("revision")));
}
