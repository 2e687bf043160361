import { expect, test } from "vitest";
import { parseBenchArguments } from "../../../bench/path/arguments.ts";
import { fillTemplate } from "../../../bench/path/template.ts";

const KNOWN = { loads: ["get-1", "get-50", "tcp-bulk"], peers: ["envoy", "nginx"] };

test("without words everything is measured, at length", () => {
  expect(parseBenchArguments([], KNOWN)).toEqual({
    ...KNOWN,
    task: "compare",
    jsonFile: null,
    isForReadme: false,
    isQuick: false,
    rounds: 5,
    secondsPerRound: 3,
  });
});

test("quick rounds are fewer and shorter, unless they are said", () => {
  expect(parseBenchArguments(["--quick", "--json", "x.json"], KNOWN)).toMatchObject({
    jsonFile: "x.json",
    isQuick: true,
    rounds: 3,
    secondsPerRound: 1,
  });
  expect(parseBenchArguments(["--quick", "--rounds", "9"], KNOWN)).toMatchObject({ rounds: 9, secondsPerRound: 1 });
});

test("peers that are asked for take part in all loads, in a quick run too", () => {
  expect(parseBenchArguments(["--quick", "--peers", "nginx"], KNOWN)).toMatchObject({
    isQuick: false,
    rounds: 3,
    peers: ["nginx"],
  });
});

test("chosen loads and peers keep the order of the table", () => {
  const chosen = parseBenchArguments(["--loads", "tcp-bulk,get-1", "--peers", "nginx"], KNOWN);
  expect(chosen).toMatchObject({ loads: ["get-1", "tcp-bulk"], peers: ["nginx"] });
});

test("a soak takes ten minutes, unless they are said", () => {
  expect(parseBenchArguments(["--soak"], KNOWN)).toEqual({
    task: "soak",
    jsonFile: null,
    isForReadme: false,
    minutes: 10,
  });
  expect(parseBenchArguments(["--soak", "--minutes", "3", "--readme", "--json", "x.json"], KNOWN)).toEqual({
    task: "soak",
    jsonFile: "x.json",
    isForReadme: true,
    minutes: 3,
  });
});

test.each([
  [["--loads", "get-2"], "--loads: there is no get-2; there are get-1, get-50, tcp-bulk"],
  [["--peers", "envoy,apache"], "--peers: there is no apache; there are envoy, nginx"],
  [["--rounds", "0"], "--rounds: expected a whole number from 1 to 100, found 0"],
  [["--rounds", "101"], "--rounds: expected"],
  [["--seconds", "1.5"], "--seconds: expected"],
  [["--seconds", "601"], "--seconds: expected"],
  [["--soak", "--minutes", "0"], "--minutes: expected a whole number from 1 to 1440"],
  [["--soak", "--quick"], "--quick means nothing with --soak"],
  [["--soak", "--rounds", "3", "--loads", "get-1"], "--loads, --rounds means nothing with --soak"],
  [["--minutes", "3"], "--minutes means nothing with no --soak"],
  [["--fast"], "Unknown option '--fast'"],
  [["get-1"], "Unexpected argument 'get-1'"],
])("%j is refused", (words, message) => {
  expect(() => parseBenchArguments(words, KNOWN)).toThrow(message);
});

test("a template's names are replaced, and what only looks like one stays", () => {
  expect(fillTemplate("listen @PORT@; mail a@b.c; @PORT@", { PORT: "80" })).toBe("listen 80; mail a@b.c; 80");
});

test("a template that asks for an unknown name is refused", () => {
  expect(() => fillTemplate("listen @PROT@;", { PORT: "80" })).toThrow("PROT");
});
