import { CHECK_TABLE } from "../../src/control/doctor/finding.ts";
import { HA_PROFILE, VALUE_TABLE } from "../../src/control/install/values.ts";
import { page, table } from "./markdown-page.ts";

/** docs/reference/values.md */
export function valuesPage(): string {
  const rows = Object.entries(VALUE_TABLE).map(([path, { type, default: whenAbsent, means }]) => [
    `\`${path}\``,
    type.takes,
    `\`${JSON.stringify(whenAbsent)}\``,
    HA_PROFILE[path] === undefined ? "" : `\`${JSON.stringify(HA_PROFILE[path])}\``,
    means,
  ]);
  const intro = [
    "Settings of an installation: `cardea install --values FILE --set PATH=VALUE`, or Helm's. A path is a place in the file:",
    "`control.replicas` is `replicas` below `control`. `ha` is what `--profile ha` sets in the place of the default.",
  ];
  return page("Settings of an installation", "src/control/install/values.ts", intro, [
    table(["setting", "takes", "default", "ha", "meaning"], rows),
  ]);
}

/** docs/reference/doctor.md */
export function doctorPage(): string {
  const rows = Object.entries(CHECK_TABLE).map(([name, means]) => [`\`${name}\``, means]);
  const intro = [
    "What `cardea doctor` looks at. With `--json` it prints one object a line: `check`, `verdict` (`ok`, `warning`, `error`,",
    "`unknown`), `about`, `message` and `mend`. Exit code 1: there is an error; 3: the cluster could not be reached.",
  ];
  return page("Checks of the doctor", "src/control/doctor/finding.ts", intro, [
    table(["check", "all is well when"], rows),
  ]);
}
