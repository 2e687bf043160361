import { makeChart, makeMonitoringFiles, makeRenderedManifests } from "../../src/control/install/chart.ts";

/** Every generated file below deploy/: its path from the repository's root → its text. `npm run reference` writes them. */
export function makeDeployFiles(version: string): ReadonlyMap<string, string> {
  return new Map([
    ...below("deploy/chart", makeChart(version)),
    ...below("deploy/manifests", makeRenderedManifests()),
    ...below("deploy", makeMonitoringFiles()),
  ]);
}

function below(directory: string, files: ReadonlyMap<string, string>): readonly (readonly [string, string])[] {
  return [...files].map(([path, text]) => [`${directory}/${path}`, text] as const);
}
