import { toCardeaError } from "../../core/errors.ts";
import type { Logger } from "../../core/ports.ts";
import type { PostAnswer, PostRoute } from "../../io/https-server.ts";
import { type AdmissionRequest, readReview } from "./review.ts";
import { formatVerdict, type Verdict } from "./verdict.ts";

/** What one webhook says of an object. May reject: the object is refused then. */
export type Review = (request: AdmissionRequest) => Promise<Verdict> | Verdict;

/** What came of each review, for metrics. */
export interface AdmissionObserver {
  reviewed(path: string, outcome: "admitted" | "patched" | "refused" | "unreadable" | "failed"): void;
}

export interface AdmissionRouteOptions {
  readonly path: string;
  readonly review: Review;
  readonly observer: AdmissionObserver;
  readonly logger: Logger;
}

/** A webhook as a path of the HTTPS server. Whatever the body holds, it is answered; a fault of ours refuses. */
export function admissionRoute({ path, review, observer, logger }: AdmissionRouteOptions): PostRoute {
  return {
    path,
    async answer(body) {
      const read = readReview(body);
      if (read.is === "unreadable") {
        observer.reviewed(path, "unreadable");
        return { status: read.status, contentType: "text/plain; charset=utf-8", body: `${read.message}\n` };
      }
      if (read.is === "faulty") {
        observer.reviewed(path, "refused");
        return json(formatVerdict(read.uid, { allowed: false, code: 400, message: read.message, warnings: [] }));
      }
      try {
        const verdict = await review(read.request);
        observer.reviewed(path, outcomeOf(verdict));
        if (!verdict.allowed) logRefusal(logger, read.request, verdict.message);
        return json(formatVerdict(read.request.uid, verdict));
      } catch (thrown) {
        observer.reviewed(path, "failed");
        logger.log("error", "admission-failed", { message: toCardeaError(thrown).message });
        return json(formatVerdict(read.request.uid, FAILED));
      }
    },
  };
}

const FAILED: Verdict = {
  allowed: false,
  code: 503,
  message: "Cardea could not review the object; its control plane's log says why",
  warnings: [],
};

function outcomeOf(verdict: Verdict): "admitted" | "patched" | "refused" {
  if (!verdict.allowed) return "refused";
  return verdict.patch === undefined || verdict.patch.length === 0 ? "admitted" : "patched";
}

function logRefusal(logger: Logger, { kind, namespace, name }: AdmissionRequest, message: string): void {
  const workload = `${kind.kind} ${namespace}/${name === "" ? "(no name yet)" : name}`;
  logger.log("info", "admission-refused", { workload, reason: message });
}

function json(body: string): PostAnswer {
  return { status: 200, contentType: "application/json", body };
}
