import { join } from "node:path";
import type { ProxyConfig } from "../../config/proxy-config.ts";
import { formatYaml } from "../../config/yaml-write.ts";
import type { Address } from "../../core/ports.ts";
import { METRICS_PATH } from "../sidecar-paths.ts";

/** The alerts that come with the program. */
const RULES_FILE = join(import.meta.dirname, "..", "..", "..", "deploy", "prometheus", "rules.yaml");

/**
 * A configuration with which Prometheus reads the mesh of this state directory as it is: `prometheus --config.file=…`.
 * Services that come and go are found in the files of `targetsDirectory`, without a restart.
 */
export function formatPrometheusConfig(targetsDirectory: string): string {
  const config = {
    global: { scrape_interval: "5s", evaluation_interval: "5s" },
    rule_files: [RULES_FILE],
    scrape_configs: [
      {
        job_name: "cardea",
        metrics_path: METRICS_PATH,
        file_sd_configs: [{ files: [join(targetsDirectory, "*.json")], refresh_interval: "5s" }],
      },
    ],
  };
  return formatYaml([config], ["Made by `cardea up`. prometheus --config.file=<this file>"]);
}

/** A sidecar as Prometheus finds it. */
export function formatSidecarTarget({ name, namespace, metrics }: ProxyConfig): string {
  return formatTarget(metrics, { namespace, app: name });
}

/** The control plane likewise. */
export function formatControlTarget(admin: Address): string {
  return formatTarget(admin, { namespace: "cardea-system", app: "cardea-control" });
}

function formatTarget({ host, port }: Address, labels: Readonly<Record<string, string>>): string {
  return `${JSON.stringify([{ targets: [`${host}:${port}`], labels }])}\n`;
}
