import type { Socket } from "node:net";
import { FRAME_BYTES_MAX, SETTING, WINDOW_BYTES } from "../../../src/wire/http2-codes.ts";
import type { DataPiece, Frame } from "../../../src/wire/http2-frame.ts";
import { Http2FrameReader } from "../../../src/wire/http2-frame-reader.ts";
import {
  writeData,
  writeHeaders,
  writePing,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from "../../../src/wire/http2-frame-writer.ts";
import { HpackEncoder } from "../../../src/wire/hpack-encoder.ts";
import { ANSWER_BYTES, frameMessage, MESSAGE_PREFIX_BYTES } from "../grpc-message.ts";

const ANSWER = frameMessage(Buffer.alloc(ANSWER_BYTES, "x"));
const CREDIT_STEP_BYTES = 32_768;
const TABLE_BYTES = 4_096;

/**
 * gRPC over HTTP/2 without TLS: a call's first message says by its first byte how many messages it is answered with.
 * What is asked stands in the message, so the heads need not be read, and all that a turn brings is answered at once.
 */
export function serveGrpc(socket: Socket): void {
  const connection = new GrpcConnection(socket);
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => connection.receive(chunk));
}

interface Call {
  /** Octets of the question that have come. */
  received: number;
  messagesLeft: number;
  hasBegun: boolean;
  window: number;
}

class GrpcConnection {
  readonly #socket: Socket;
  readonly #reader = new Http2FrameReader("server");
  readonly #encoder = new HpackEncoder(TABLE_BYTES);
  readonly #calls = new Map<number, Call>();
  /** Calls with something to send that a window holds up, or that have just been asked. */
  #waiting: number[] = [];
  #window = WINDOW_BYTES;
  #streamWindow = WINDOW_BYTES;
  #uncredited = 0;
  #output: Buffer[] = [writeSettings([{ id: SETTING.MAX_CONCURRENT_STREAMS, value: 1_000 }])];

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  receive(chunk: Buffer): void {
    this.#reader.feed(chunk);
    for (let frame = this.#reader.next(); frame !== null; frame = this.#reader.next()) this.#take(frame);
    this.#answerWaiting();
    if (this.#output.length === 0) return;
    this.#socket.write(this.#output.length === 1 ? this.#output[0]! : Buffer.concat(this.#output));
    this.#output = [];
  }

  #take(frame: Frame): void {
    switch (frame.type) {
      case "headers":
        this.#calls.set(frame.streamId, { received: 0, messagesLeft: 0, hasBegun: false, window: this.#streamWindow });
        return;
      case "data":
        return this.#takeData(frame);
      case "settings":
        for (const { id, value } of frame.settings) this.#takeSetting(id, value);
        this.#output.push(writeSettingsAck());
        return;
      case "ping":
        if (!frame.isAck) this.#output.push(writePing(frame.data, true));
        return;
      case "window-update":
        return this.#takeCredit(frame.streamId, frame.increment);
      case "rst-stream":
        this.#calls.delete(frame.streamId);
        return;
      case "connection-fault":
      case "stream-fault":
        this.#socket.destroy(new Error(frame.why));
        return;
      case "goaway":
      case "settings-ack":
      case "ignored":
        return;
    }
  }

  #takeData({ streamId, piece, flowBytes, isEnd }: DataPiece): void {
    this.#uncredited += flowBytes;
    if (this.#uncredited >= CREDIT_STEP_BYTES) {
      this.#output.push(writeWindowUpdate(0, this.#uncredited));
      this.#uncredited = 0;
    }
    const call = this.#calls.get(streamId);
    if (call === undefined) return;
    const wanted = MESSAGE_PREFIX_BYTES - call.received;
    if (wanted >= 0 && wanted < piece.length) call.messagesLeft = piece[wanted]!;
    call.received += piece.length;
    if (isEnd) this.#waiting.push(streamId);
  }

  #takeSetting(id: number, value: number): void {
    if (id === SETTING.HEADER_TABLE_SIZE) this.#encoder.limitTable(value);
    if (id !== SETTING.INITIAL_WINDOW_SIZE) return;
    for (const call of this.#calls.values()) call.window += value - this.#streamWindow;
    this.#streamWindow = value;
  }

  #takeCredit(streamId: number, increment: number): void {
    if (streamId === 0) this.#window += increment;
    else {
      const call = this.#calls.get(streamId);
      if (call !== undefined) call.window += increment;
    }
  }

  /** In turns of one message each, as far as the windows let it. */
  #answerWaiting(): void {
    const held: number[] = [];
    while (this.#waiting.length > 0) {
      const round = this.#waiting;
      this.#waiting = [];
      for (const streamId of round) {
        const call = this.#calls.get(streamId);
        if (call === undefined) continue;
        if (call.messagesLeft === 0) this.#end(streamId, call);
        else if (Math.min(call.window, this.#window) < ANSWER.length) held.push(streamId);
        else this.#sendMessage(streamId, call);
      }
    }
    this.#waiting = held;
  }

  #sendMessage(streamId: number, call: Call): void {
    if (!call.hasBegun) this.#output.push(this.#head(streamId));
    call.hasBegun = true;
    call.messagesLeft -= 1;
    call.window -= ANSWER.length;
    this.#window -= ANSWER.length;
    this.#output.push(writeData(streamId, ANSWER, false));
    this.#waiting.push(streamId);
  }

  #head(streamId: number): Buffer {
    const block = this.#encoder.encode([":status", "200"], ["content-type", "application/grpc"]);
    return writeHeaders(streamId, block, false, FRAME_BYTES_MAX);
  }

  #end(streamId: number, call: Call): void {
    if (!call.hasBegun) this.#output.push(this.#head(streamId));
    const trailers = this.#encoder.encode(["grpc-status", "0"], []);
    this.#output.push(writeHeaders(streamId, trailers, true, FRAME_BYTES_MAX));
    this.#calls.delete(streamId);
  }
}
