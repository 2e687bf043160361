import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { Server } from "node:net";
import { join } from "node:path";
import type { RunningPod } from "./tiny-kubelet.ts";

// A kubelet's port, for `kubectl logs` alone: what a pod's container of ours has written so far.

export const KUBELET_PORT = "10250";

/** Finds a pod that runs. */
export type FindPod = (namespace: string, name: string) => { readonly running: RunningPod } | undefined;

/** Serves at a UNIX socket, under the certificate of the API server in that directory, which nobody compares here. */
export function openKubeletLogs(socketPath: string, certificates: string, find: FindPod): Promise<Server> {
  const read = (name: string): string => readFileSync(join(certificates, name), "utf8");
  const server = createServer({ cert: read("server.crt"), key: read("server.key") }, (request, response) => {
    const { pathname, searchParams } = new URL(request.url!, "https://kubelet");
    const [, what, namespace = "", name = ""] = pathname.split("/");
    const pod = what === "containerLogs" ? find(namespace, name) : undefined;
    if (pod === undefined) {
      response.writeHead(404).end(`there is no ${pathname}\n`);
      return;
    }
    // As a runtime keeps them: both streams, one after the other here.
    const lines = [...pod.running.lines(), ...pod.running.log().trimEnd().split("\n")].filter((line) => line !== "");
    const wanted = lines.slice(-Number(searchParams.get("tailLines") ?? lines.length));
    response.writeHead(200, { "content-type": "text/plain" }).end(wanted.map((line) => `${line}\n`).join(""));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, () => resolve(server));
  });
}
