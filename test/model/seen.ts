import { OwnBytesReader } from "./own-bytes.ts";

/** How something that is read came to its end: as its sender meant it, or cut off. `open`: not yet. */
export type End = "open" | "whole" | "broken";

/** What came of a message, at the end that reads it. */
export class Seen {
  readonly body: OwnBytesReader;
  end: End = "open";
  /** Of the trailers, `x-sum`. */
  sum: string | null = null;

  constructor(name: string) {
    this.body = new OwnBytesReader(name);
  }

  /** The first end is the one that counts. */
  finish(end: "whole" | "broken"): void {
    if (this.end === "open") this.end = end;
  }
}

/** What a caller got. */
export class AnswerSeen extends Seen {
  status: number | null = null;
  hints = 0;
  isOfSidecar = false;
  /** Which of the plan's failures it is; null: it is none of them. */
  failure: number | null = null;
}

/** What an app got. */
export class RequestSeen extends Seen {
  readonly index: number;
  readonly method: string;

  constructor(index: number, method: string) {
    super(requestName(index));
    this.index = index;
    this.method = method;
  }
}

export function requestName(index: number): string {
  return `request ${index}`;
}

export function answerName(index: number): string {
  return `answer ${index}`;
}
