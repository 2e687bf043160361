/** What a gRPC status would be over plain HTTP, so that health is counted alike. Envoy's table (google.rpc.Code). */
export function grpcAsHttpStatus(status: number): number {
  return HTTP_STATUS[status] ?? 500;
}

const HTTP_STATUS: readonly number[] = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
];
