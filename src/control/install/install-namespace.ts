/** Where the control plane is, unless it is told otherwise: policies of this namespace hold for the whole mesh. */
export const INSTALL_NAMESPACE = "cardea-system";
