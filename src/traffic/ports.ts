import { integer, object, required } from "../core/schema.ts";

export const PORT = integer({ min: 1, max: 65_535 });

/** Istio's PortSelector. */
export const PORT_SELECTOR = object({ number: required(PORT) });
