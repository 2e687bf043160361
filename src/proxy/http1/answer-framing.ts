import { canHaveBody, type RequestHead } from "../../wire/http1-head.ts";
import type { Answer } from "../streams.ts";

/** How an answer's end is told. */
export interface AnswerFraming {
  readonly sendsChunks: boolean;
  /** No other request is read from the connection. */
  readonly isLast: boolean;
}

/**
 * Adds to an answer's headers what tells its end, and whether the connection goes on. The head is that of its request, null
 * where none could be read; `isLast` is what the connection has to say. RFC 9112 sections 6 and 9.
 */
export function frameAnswer(answer: Answer, head: RequestHead | null, isLast: boolean): AnswerFraming {
  const { status, headers, framing } = answer;
  const isHttp11 = head === null || head.minorVersion === 1;
  let isLastAnswer = isLast;
  let sendsChunks = false;
  switch (framing.kind) {
    case "none":
      // Over HTTP/2 an answer can end with its head; here, without a length, it would last as long as the connection.
      if (head !== null && canHaveBody(status, head.method)) headers.push("content-length", "0");
      break;
    case "length":
      headers.push("content-length", `${framing.bytes}`);
      break;
    case "chunked":
    case "until-close":
      // Chunks tell a caller that a body was cut off, which the end of a connection does not.
      sendsChunks = isHttp11;
      if (isHttp11) headers.push("transfer-encoding", "chunked");
      else isLastAnswer = true;
      break;
  }
  if (head?.method === "CONNECT" && status < 300) isLastAnswer = false;
  if (status === 101) headers.push("connection", "upgrade");
  else if (isLastAnswer) headers.push("connection", "close");
  else if (!isHttp11) headers.push("connection", "keep-alive");
  return { sendsChunks, isLast: isLastAnswer };
}
