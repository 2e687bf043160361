/** `event_name` of the record by which a sidecar says what it had to drop. */
export const LOSS_EVENT = "cardea.flow.loss";

/** Its attributes. */
export const LOSS_FIELDS = {
  reason: "cardea.reason",
  verdict: "cardea.verdict",
  principal: "cardea.peer.principal",
  flows: "cardea.flows",
} as const;
