import type { ClientHttp2Session } from "node:http2";
import type { ProbeOutcome } from "../core/app-probe.ts";

export interface GrpcHealthCall {
  readonly host: string;
  readonly localHost: string | null;
  readonly port: number;
  /** Empty: the server as a whole. */
  readonly service: string;
}

/** Status of grpc.health.v1.HealthCheckResponse. */
const SERVING = 1;
const ANSWER_BYTES_MAX = 1_024;

/**
 * `grpc.health.v1.Health/Check` without TLS, as the kubelet asks it. Rejects where the server cannot be reached or the
 * signal ends the call. Node's own HTTP/2 is loaded by the first call: most apps have no such probe.
 */
export async function checkGrpcHealth(call: GrpcHealthCall, signal: AbortSignal): Promise<ProbeOutcome> {
  const { connect } = process.getBuiltinModule("node:http2");
  const { connect: dial } = process.getBuiltinModule("node:net");
  const { host, port, localHost } = call;
  const authority = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const from = localHost === null ? {} : { localAddress: localHost };
  const session = connect(authority, { createConnection: () => dial({ host, port, ...from }) });
  const giveUp = (): void => session.destroy(new Error("the app did not answer in time"));
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    return outcomeOf(await ask(session, call.service));
  } finally {
    signal.removeEventListener("abort", giveUp);
    session.destroy();
  }
}

interface GrpcReply {
  readonly httpStatus: number;
  readonly grpcStatus: string | null;
  readonly message: string | null;
  readonly body: Buffer;
}

function ask(session: ClientHttp2Session, service: string): Promise<GrpcReply> {
  return new Promise((resolve, reject) => {
    session.on("error", reject);
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      "user-agent": "kube-probe/cardea",
      te: "trailers",
    });
    let head: Record<string, unknown> = {};
    let trailers: Record<string, unknown> = {};
    const pieces: Buffer[] = [];
    let bytes = 0;
    stream.on("error", reject);
    stream.on("response", (fields) => void (head = fields));
    stream.on("trailers", (fields) => void (trailers = fields));
    stream.on("data", (piece: Buffer) => {
      bytes += piece.length;
      if (bytes <= ANSWER_BYTES_MAX) pieces.push(piece);
      else stream.destroy(new Error("the app's answer is too long for a health check"));
    });
    stream.on("close", () => {
      const fields = { ...head, ...trailers };
      resolve({
        httpStatus: Number(head[":status"] ?? 0),
        grpcStatus: textOf(fields["grpc-status"]),
        message: textOf(fields["grpc-message"]),
        body: Buffer.concat(pieces),
      });
    });
    stream.end(frameOf(service));
  });
}

/** A gRPC message (not compressed) with a HealthCheckRequest: field 1, the service. */
function frameOf(service: string): Buffer {
  const name = Buffer.from(service, "utf8");
  const length = Buffer.from(name.length < 128 ? [name.length] : [(name.length & 0x7f) | 0x80, name.length >> 7]);
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a]), length, name]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function outcomeOf({ httpStatus, grpcStatus, message, body }: GrpcReply): ProbeOutcome {
  if (httpStatus !== 200) return { ok: false, why: `the app answered ${httpStatus} to a gRPC call` };
  if (grpcStatus !== "0")
    return { ok: false, why: `the app's gRPC status is ${grpcStatus ?? "missing"} ${message ?? ""}`.trim() };
  // Five octets of length, then field 1 as a varint; an absent field is UNKNOWN.
  const status = body.length >= 7 && body[5] === 0x08 ? body[6]! : 0;
  return status === SERVING ? { ok: true } : { ok: false, why: `the app's health status is ${status}, not SERVING` };
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
