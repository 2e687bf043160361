import type { PathNormalization } from "../../mesh-settings.ts";
import type { Universe } from "./language.ts";

const LOWER = "abcdefghijklmnopqrstuvwxyz";
const UPPER = LOWER.toUpperCase();
const DIGITS = "0123456789";
const HEX_DIGITS = `${DIGITS}ABCDEFabcdef`;

/** x, y and z first: what an example holds by chance should look like it. */
const LOWER_READABLE = `xyz${LOWER.slice(0, -3)}`;

/** Methods. RFC 9110 section 9.1; without lower-case letters, as wire/octets.ts reads them. */
export const METHODS: Universe = repeated(`XYZ${UPPER.slice(0, -3)}${DIGITS}!#$%&'*+-.^_\`|~`, 1);

/** Hosts, with or without a port. Empty: there was none. */
export const HOSTS: Universe = repeated(`${LOWER_READABLE}${DIGITS}.-:_[]${UPPER}`, 0);

/** Server names; empty: the client named none. */
export const SERVER_NAMES: Universe = repeated(`${LOWER_READABLE}${DIGITS}.-_${UPPER}`, 0);

/** Values of header fields: visible ASCII with spaces inside. RFC 9110 section 5.5. */
export const FIELD_VALUES: Universe = repeated(
  `${LOWER_READABLE}${UPPER}${DIGITS}-._~%!$&'()+,;:@=/"#*<>?[\\]^\`{|} `,
  0,
);

/** Texts in the claims of a token: any at all. */
export const CLAIM_TEXTS: Universe = {
  start: "in",
  letters: () => "",
  plain: `${LOWER_READABLE}${UPPER}${DIGITS}-._~ /:@`,
  accepts: () => true,
  step: () => "in",
};

/** SPIFFE IDs of any shape, from the last slash of their scheme on. SPIFFE-ID section 2. */
export const SPIFFE_IDS: Universe = spiffeIds();

/** Those of Kubernetes workloads: `/<trust domain>/ns/<namespace>/sa/<service account>`. */
export const WORKLOAD_IDS: Universe = workloadIds();

/** Paths as `normalizePath` (wire/path.ts) leaves them, without a query; `*` is what OPTIONS may ask of a whole server. */
export function pathsAfter(mode: PathNormalization): Universe {
  const isRewritten = mode !== "NONE";
  const refused = isRewritten ? `"<>^\`{|}\\` : "";
  const step = isRewritten ? rewrittenStep(mode) : keptStep;
  return {
    start: "start",
    // Dots, semicolons and escapes are letters like others to patterns that do not name them.
    letters(state) {
      if (state === "start") return "/*";
      return isRewritten && state.startsWith("%") ? HEX_DIGITS : "/";
    },
    plain: Array.from(`${PATH_LETTERS}"<>^\`{|}\\`)
      .filter((letter) => !refused.includes(letter))
      .join(""),
    accepts: (state) => (isRewritten ? ["slash", "in", "star"].includes(state) : state !== "start"),
    step(state, letter) {
      if (state === "star" || !/^[!-~]$/.test(letter) || letter === "#" || letter === "?") return null;
      if (state === "start" && letter === "*") return "star";
      return refused.includes(letter) ? null : step(state, letter);
    },
  };
}

const PATH_LETTERS = `${LOWER_READABLE}${UPPER}${DIGITS}-_~!$&'()+,:@=[]*`;

/** What cannot come out of the rewriting: dot segments, and, where slashes are merged, two of them. */
function rewrittenStep(mode: PathNormalization): Universe["step"] {
  return (state, letter) => {
    if (state.startsWith("%")) return escapeStep(state, letter, mode);
    if (state === "start") return letter === "/" ? "slash" : null;
    if (letter === "%") return "%";
    if (letter === "/") {
      if (state === "dot" || state === "dots") return null;
      return state === "slash" && mode !== "BASE" ? null : "slash";
    }
    if (letter === ";" && (state === "dot" || state === "dots")) return null;
    if (letter === ".") return state === "slash" ? "dot" : state === "dot" ? "dots" : "in";
    return "in";
  };
}

/** `%` and two digits that stay encoded: what need not be was decoded. RFC 3986 section 6.2.2.2. */
function escapeStep(state: string, letter: string, mode: PathNormalization): string | null {
  if (!/^[0-9A-Fa-f]$/.test(letter)) return null;
  if (state === "%") return `%${letter}`;
  const code = Number.parseInt(state.slice(1) + letter, 16);
  const isDecoded = /[A-Za-z0-9._~-]/.test(String.fromCharCode(code)) && code < 128;
  const isSlash = mode === "DECODE_AND_MERGE_SLASHES" && (code === 0x2f || code === 0x5c);
  return isDecoded || isSlash || code === 0 ? null : "in";
}

/** Nothing is rewritten, and `%00` refused. */
const keptStep: Universe["step"] = (state, letter) => {
  if (state === "start") return letter === "/" ? "in" : null;
  if (letter === "%") return "%";
  if (letter === "0" && state === "%") return "%0";
  return letter === "0" && state === "%0" ? null : "in";
};

function repeated(plain: string, min: 0 | 1): Universe {
  return {
    start: "start",
    letters: () => "",
    plain,
    accepts: (state) => min === 0 || state === "in",
    step: (_, letter) => (plain.includes(letter) ? "in" : null),
  };
}

const DOMAIN_LETTER = /^[a-z0-9._-]$/;
const SEGMENT_LETTER = /^[a-zA-Z0-9._-]$/;

function spiffeIds(): Universe {
  return {
    start: "start",
    letters: () => "/",
    plain: `${LOWER_READABLE}${DIGITS}-_${UPPER}`,
    accepts: (state) => state === "domain" || state === "in",
    step: (state, letter) => {
      if (state === "start") return letter === "/" ? "scheme" : null;
      if (state === "scheme" || state === "domain") {
        if (letter === "/") return state === "domain" ? "slash" : null;
        return DOMAIN_LETTER.test(letter) ? "domain" : null;
      }
      return segmentStep(state, letter, "slash");
    },
  };
}

/** A segment is neither empty nor `.` nor `..`. */
function segmentStep(state: string, letter: string, afterSlash: string | null): string | null {
  if (letter === "/") return state === "in" ? afterSlash : null;
  if (!SEGMENT_LETTER.test(letter)) return null;
  if (letter === "." && state === "slash") return "dot";
  return letter === "." && state === "dot" ? "dots" : "in";
}

const BETWEEN = ["/ns/", "/sa/"] as const;

/** States: `domain`, then how far into `/ns/`, the namespace, how far into `/sa/`, the account. */
function workloadIds(): Universe {
  return {
    start: "start",
    letters: (state) => BETWEEN[Number(state[0])]?.[Number(state.slice(2))] ?? "/",
    plain: `${LOWER_READABLE}${DIGITS}-_${UPPER}`,
    accepts: (state) => state === "1:in",
    step: (state, letter) => {
      if (state === "start") return letter === "/" ? "scheme" : null;
      if (state === "scheme") return DOMAIN_LETTER.test(letter) ? "domain" : null;
      if (state === "domain" && letter !== "/") return DOMAIN_LETTER.test(letter) ? "domain" : null;
      const [part, place] = state === "domain" ? [0, "0"] : [Number(state[0]), state.slice(2)];
      const between = BETWEEN[part]!;
      if (/^\d$/.test(place)) {
        const at = Number(place);
        if (between[at] !== letter) return null;
        return at + 1 === between.length ? `${part}:slash` : `${part}:${at + 1}`;
      }
      const next = segmentStep(place, letter, part === 0 ? "1" : null);
      if (next === null) return null;
      return next === "1" ? "1:1" : `${part}:${next}`;
    },
  };
}
