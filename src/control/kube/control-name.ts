/**
 * What a revision's Deployment, Service, ServiceAccount, roles, ConfigMap and Lease are called. Null: the installation
 * without a name. Secrets and roots have no revision: all revisions of a mesh are one authority.
 */
export function controlName(revision: string | null): string {
  return revision === null ? CONTROL_NAME : `${CONTROL_NAME}-${revision}`;
}

const CONTROL_NAME = "cardea-control";
