/**
 * Every field that a line of the program's own log may have, beside time, level, process and event. What is not
 * listed is not written: a new field is a decision, so that no key, token, body or query gets in by accident.
 */
export const LOG_FIELDS = {
  address: "An IP address and port of ours or of a peer.",
  attestation: "How a caller of the authority proved who it is.",
  before: "The revision that was in force until now.",
  code: "An error's code (docs/reference/errors.md).",
  column: "A place in a file, from 1.",
  connections: "How many connections.",
  count: "How many of what the event is about.",
  durationMs: "How long it took.",
  error: "An error's message.",
  failures: "How often in a row it has failed.",
  fault: "One fault of a document, as file:line:column: field: message.",
  field: "The document's field that a fault is about.",
  file: "A file's path.",
  id: "A flow record's id.",
  kind: "A kind of the Kubernetes API.",
  line: "A place in a file, from 1.",
  namespace: "A Kubernetes namespace.",
  message: "What is wrong, in words for people.",
  notAfter: "When a certificate ends.",
  pid: "A process.",
  policies: "How many policies.",
  port: "A port of ours.",
  reason: "Why.",
  renewInMs: "When the certificate will be renewed.",
  retryInMs: "When it will be tried again.",
  revision: "A policy set's revision.",
  serial: "A certificate's serial number.",
  service: "A service's host name.",
  services: "How many services.",
  spiffeId: "A workload's identity.",
  trustDomain: "A trust domain.",
  trafficRules: "How many traffic rules.",
  typeUrl: "A type of discovery resources.",
  uid: "A user of this machine.",
  version: "The program's version.",
  workload: "A workload's name.",
  workloads: "How many workloads.",
} as const;

/** The fields of one event. */
export type LogFields = { readonly [Name in keyof typeof LOG_FIELDS]?: string | number | boolean | null };
