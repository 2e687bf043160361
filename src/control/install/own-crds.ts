import type { JsonObject } from "../../core/json-value.ts";
import { INVARIANT_CRD } from "./invariant-crd.ts";
import { POLICY_TEST_CRD } from "./policy-test-crd.ts";

/** Kinds of ours that lie beside policies. */
export const OWN_CRDS: readonly JsonObject[] = [POLICY_TEST_CRD, INVARIANT_CRD];
