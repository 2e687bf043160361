/** A gRPC message: not compressed, its length, its bytes. */
export function frameMessage(payload: Buffer): Buffer {
  const message = Buffer.alloc(MESSAGE_PREFIX_BYTES + payload.length);
  message.writeUInt32BE(payload.length, 1);
  payload.copy(message, MESSAGE_PREFIX_BYTES);
  return message;
}

export const MESSAGE_PREFIX_BYTES = 5;

/** The question: its first byte says how many messages the answer is to have. */
export const ASK_BYTES = 128;
/** Each message of an answer. */
export const ANSWER_BYTES = 1_024;
/** How many messages a call of the streaming load is answered with. */
export const STREAM_MESSAGES = 100;
