import { WORKLOAD_SOCKET } from "../../config/pod-variables.ts";
import {
  isJsonList,
  isSameJson,
  type JsonObject,
  type JsonValue,
  memberOf,
  withoutKey,
} from "../../core/json-value.ts";
import { VOLUMES } from "./names.ts";

const VARIABLE: JsonObject = { name: "SPIFFE_ENDPOINT_SOCKET", value: `unix://${WORKLOAD_SOCKET.file}` };
const MOUNT: JsonObject = { name: VOLUMES.identity, mountPath: WORKLOAD_SOCKET.directory, readOnly: true };

/** A container of the app that finds the Workload API. A variable of the same name that the app has is kept. */
export function giveWorkloadApi(container: JsonObject): JsonObject {
  const isSet = itemsOf(container, "env").some((each) => memberOf(each, "name") === VARIABLE["name"]);
  return appended(isSet ? container : appended(container, "env", VARIABLE), "volumeMounts", MOUNT);
}

/** The container as it was before giveWorkloadApi. */
export function takeWorkloadApi(container: JsonObject): JsonObject {
  const hasMount = itemsOf(container, "volumeMounts").some((each) => memberOf(each, "name") === VOLUMES.identity);
  if (!hasMount) return container;
  const without = withoutItems(container, "volumeMounts", (each) => memberOf(each, "name") === VOLUMES.identity);
  return withoutItems(without, "env", (each) => isSameJson(each, VARIABLE));
}

function itemsOf(container: JsonObject, key: string): readonly JsonValue[] {
  const items = container[key];
  return isJsonList(items) ? items : [];
}

function appended(container: JsonObject, key: string, item: JsonObject): JsonObject {
  return { ...container, [key]: [...itemsOf(container, key), item] };
}

/** A list that injection has made goes with its last item. */
function withoutItems(container: JsonObject, key: string, isOurs: (item: JsonValue) => boolean): JsonObject {
  const items = itemsOf(container, key);
  const left = items.filter((item) => !isOurs(item));
  if (left.length === items.length) return container;
  return left.length === 0 ? withoutKey(container, key) : { ...container, [key]: left };
}
