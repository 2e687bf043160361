import { POD_FILES, POD_VARIABLES } from "../../src/config/pod-variables.ts";
import { ANNOTATIONS } from "../../src/control/inject/annotations.ts";
import { page, table } from "./markdown-page.ts";

/** docs/reference/annotations.md: what can be said of a pod's sidecar, and what a sidecar is told. */
export function annotationsPage(): string {
  const intro = [
    "Annotations of a pod, or of its namespace for all of its pods; the pod's stand above. Istio's and Linkerd's names mean",
    "the same. A value that cannot be read, an unknown name that begins with `cardea.dev/`, two names with different values,",
    "and ports that are both in and out are refused, with what to do about it.",
  ];
  return page("Annotations", "src/control/inject/annotations.ts and src/config/pod-variables.ts", intro, [
    table(["annotation", "value", "without it", "meaning", "also"], Object.values(ANNOTATIONS).map(annotationRow)),
    "## Whether a pod is injected",
    table(["label or annotation", "of", "values"], WORDS),
    [
      "The pod's own word stands above its namespace's, and ours above Istio's and Linkerd's; if two of theirs contradict",
      "each other, the pod is refused. Left alone, whatever they say: pods of the excluded namespaces, pods with",
      "`hostNetwork`, mirrors of static pods, and pods that ask by Istio's or Linkerd's word and have that mesh's sidecar.",
      "`cardea inject` takes silence for yes.",
    ].join("\n"),
    "## The sidecar's environment",
    "Injection sets these; `cardea proxy` without `--config` reads them.",
    table(
      ["variable", "without it", "meaning"],
      Object.values(POD_VARIABLES).map(({ name, whenAbsent, means }) => [`\`${name}\``, absent(whenAbsent), means]),
    ),
    `Files: ${Object.values(POD_FILES)
      .map((path) => `\`${path}\``)
      .join(", ")}.`,
  ]);
}

const WORDS = [
  ["`cardea.dev/inject`", "pod, namespace", "`enabled`, `disabled`"],
  ["`cardea.dev/rev` (label)", "pod, namespace", "a revision; it asks for injection"],
  ["`sidecar.istio.io/inject`", "pod", "`true`, `false`"],
  ["`istio-injection` (label)", "namespace", "`enabled`, `disabled`"],
  ["`istio.io/rev` (label)", "pod, namespace", "any; it asks for injection"],
  ["`linkerd.io/inject`", "pod, namespace", "`enabled`, `disabled`"],
];

type Row = (typeof ANNOTATIONS)[keyof typeof ANNOTATIONS];

function annotationRow({ key, value, whenAbsent, means, aliases }: Row): readonly string[] {
  return [`\`${key}\``, value.form, whenAbsent, means, aliases.map((alias) => `\`${alias.key}\``).join(", ")];
}

function absent(text: string | null): string {
  if (text === null) return "refused";
  return text === "" ? "none" : `\`${text}\``;
}
