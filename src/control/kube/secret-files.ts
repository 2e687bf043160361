import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { KUBE } from "../../core/kube-resources.ts";
import type { KubeApi, KubeObject } from "../../core/kube.ts";
import type { StateFiles } from "../../core/state-files.ts";
import { record } from "./endpoint-facts.ts";

export interface SecretFilesOptions {
  readonly kube: KubeApi;
  readonly namespace: string;
}

/** Conflicts in a row, after which something else than a race is at work. */
const TRIES = 8;

/**
 * State in Secrets: the directory `ca` is the Secret `cardea-ca`, a file in it one of its keys. Every change is made
 * under the version that was read, so of two replicas that create the same file at once one wins, and both know which.
 */
export function openSecretFiles(options: SecretFilesOptions): StateFiles {
  const { kube, namespace } = options;
  const at = (directory: string) => ({ namespace, name: `cardea-${directory}` });

  async function read(path: string): Promise<string | null> {
    const { directory, file } = split(path);
    const secret = await kube.get(KUBE.secrets, at(directory));
    return secret === null ? null : textOf(secret, file);
  }

  /** `change` gets the Secret's data as it is; null: nothing is to be done. */
  async function edit(directory: string, change: (data: Data) => Data | null): Promise<boolean> {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const secret = await kube.get(KUBE.secrets, at(directory));
      const data = change(secret === null ? {} : dataOf(secret));
      if (data === null) return false;
      try {
        if (secret === null) await kube.create(KUBE.secrets, newSecret(at(directory), data));
        else await kube.update(KUBE.secrets, { ...secret, data });
        return true;
      } catch (thrown) {
        // Somebody else was first: what is there now decides.
        if (toCardeaError(thrown).code !== "kube-conflict") throw thrown;
      }
    }
    throw new CardeaError("kube-conflict", `the Secret cardea-${directory} changes faster than it can be written`);
  }

  return {
    directory: `Secrets of ${namespace}: cardea-`,
    read,
    // Whoever may read Secrets of the namespace is the authority; RBAC holds that, and no mode of a file.
    readPrivate: read,
    async write(path, text) {
      const { directory, file } = split(path);
      await edit(directory, (data) => ({ ...data, [file]: encode(text) }));
    },
    create(path, text) {
      const { directory, file } = split(path);
      return edit(directory, (data) => (file in data ? null : { ...data, [file]: encode(text) }));
    },
    remove(path) {
      const { directory, file } = split(path);
      return edit(directory, ({ [file]: gone, ...rest }) => (gone === undefined ? null : rest));
    },
    async list(directory) {
      const secret = await kube.get(KUBE.secrets, at(directory));
      return secret === null ? [] : Object.keys(dataOf(secret)).toSorted();
    },
  };
}

type Data = Readonly<Record<string, unknown>>;

function newSecret(metadata: { readonly namespace: string; readonly name: string }, data: Data): KubeObject {
  return { metadata: { ...metadata, labels: { "app.kubernetes.io/part-of": "cardea" } }, type: "Opaque", data };
}

function dataOf(secret: KubeObject): Data {
  return record(secret["data"]);
}

function textOf(secret: KubeObject, file: string): string | null {
  const value = dataOf(secret)[file];
  return typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : null;
}

function encode(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** `ca/root.pem`: keys of Secrets hold no slash, so one level is all there can be. */
function split(path: string): { readonly directory: string; readonly file: string } {
  const match = /^([a-z0-9-]+)\/([-._a-zA-Z0-9]+)$/.exec(path);
  if (match === null) throw new CardeaError("internal", `${JSON.stringify(path)} is no path of a Secret`);
  return { directory: match[1]!, file: match[2]! };
}
