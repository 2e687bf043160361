import type { Question } from "../facts.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import { PLAIN_FACTS } from "./space/facts.ts";
import type { Observation } from "./suggest.ts";

/** What was seen, as a question; what an observation does not keep is as plain as can be. */
export function questionOf({ principal, workload, port, request }: Observation, settings: MeshSettings): Question {
  const { sourceIp, destinationIp, destinationPort } = PLAIN_FACTS;
  return {
    workload,
    settings,
    peer: {
      principal,
      sourceIp,
      remoteIp: sourceIp,
      destinationIp,
      destinationPort: port ?? destinationPort,
      sni: null,
    },
    request: request === null ? null : { ...request, host: "", header: () => undefined, claims: null },
  };
}
