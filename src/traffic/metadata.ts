import { objectMetadata } from "../core/object-metadata.ts";
import { mapOf, string } from "../core/schema.ts";

/** A traffic document's metadata; none of its annotations means anything here. */
export const TRAFFIC_METADATA = objectMetadata(mapOf(string({ allowEmpty: true })));
