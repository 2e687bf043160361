import { CardeaError, type ErrorCode } from "../core/errors.ts";
import type { KubeObject } from "../core/kube.ts";

/** The API server's status and its Status object → one of our codes; the message is the server's own. */
export function errorOfStatus(status: number, text: string, path: string): CardeaError {
  return new CardeaError(codeOf(status), `${path}: ${status}: ${messageOf(text)}`);
}

export function unreachable(message: string, cause?: unknown): CardeaError {
  return new CardeaError("unreachable", `the Kubernetes API: ${message}`, cause);
}

/** Errors: `unreachable`. */
export function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw unreachable(`${path}: the answer is no JSON`, error);
  }
}

/** Whether it has what every object must have. */
export function isKubeObject(value: unknown): value is KubeObject {
  const metadata = (value as Partial<KubeObject> | null | undefined)?.metadata as unknown;
  return typeof metadata === "object" && metadata !== null && !Array.isArray(metadata);
}

function codeOf(status: number): ErrorCode {
  if (status === 401 || status === 403) return "kube-forbidden";
  if (status === 404) return "kube-absent";
  if (status === 409) return "kube-conflict";
  if (status === 410) return "kube-gone";
  return status >= 400 && status < 500 && status !== 429 && status !== 408 ? "kube-refused" : "unreachable";
}

const MESSAGE_LENGTH_MAX = 1_024;

function messageOf(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === "string") return message.slice(0, MESSAGE_LENGTH_MAX);
  } catch {
    // Not a Status object: something else than an API server has answered.
  }
  return text.slice(0, 200);
}
