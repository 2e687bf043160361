import { describe, expect, test } from "vitest";
import { declaredProtocol, protocolOfWord } from "../../../src/core/port-protocol.ts";

describe("a port's declaration is read as Istio reads it", () => {
  test.each([
    ["http", "HTTP"],
    ["http-web", "HTTP"],
    ["HTTP-web", "HTTP"],
    ["http2", "HTTP2"],
    ["http2-api", "HTTP2"],
    ["grpc", "GRPC"],
    ["grpc-orders", "GRPC"],
    ["grpc-web", "HTTP2"],
    ["grpc-web-ui", "HTTP2"],
    ["https", "TLS"],
    ["https-admin", "TLS"],
    ["tls-x", "TLS"],
    ["tcp", "TCP"],
    ["tcp-db", "TCP"],
    ["mongo-rs0", "TCP"],
    ["mysql", "TCP"],
    ["redis-cache", "TCP"],
    ["web", "AUTO"],
    ["web-http", "AUTO"],
    ["https2", "AUTO"],
    ["httpx-a", "AUTO"],
    ["", "AUTO"],
  ])("the name %s means %s", (name, protocol) => {
    expect(declaredProtocol({ port: 8080, name, appProtocol: null })).toBe(protocol);
  });

  test.each([
    ["kubernetes.io/h2c", "HTTP2"],
    ["kubernetes.io/ws", "HTTP"],
    ["kubernetes.io/wss", "TLS"],
    ["Kubernetes.io/H2C", "HTTP2"],
    ["http", "HTTP"],
    ["https", "TLS"],
    ["smtp", "TCP"],
    ["postgresql", "TCP"],
    ["example.com/custom", "AUTO"],
  ])("appProtocol %s means %s, whatever the name says", (appProtocol, protocol) => {
    for (const name of ["grpc-x", "tcp", null]) {
      expect(declaredProtocol({ port: 8080, name, appProtocol })).toBe(protocol);
    }
  });

  test("a name of Kubernetes' own is none for a port's name", () => {
    expect(declaredProtocol({ port: 8080, name: "kubernetes.io/ws", appProtocol: null })).toBe("AUTO");
  });

  test.each(["udp", "udp-dns", "UDP"])("%s is not carried", (name) => {
    expect(declaredProtocol({ port: 8080, name, appProtocol: null })).toBeNull();
    expect(declaredProtocol({ port: 8080, name: "http", appProtocol: name })).toBeNull();
    expect(protocolOfWord(name)).toBeNull();
  });

  test.each([25, 53, 3306, 27017])(
    "port %i, where the server speaks first, is TCP unless it says otherwise",
    (port) => {
      expect(declaredProtocol({ port, name: "x", appProtocol: null })).toBe("TCP");
      expect(declaredProtocol({ port, name: null, appProtocol: null })).toBe("TCP");
      expect(declaredProtocol({ port, name: "http", appProtocol: null })).toBe("HTTP");
    },
  );
});
