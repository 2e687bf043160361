import { parseAst } from "rolldown/parseAst";
import { replacementsOf } from "./operators.ts";
import { childrenOf, type SyntaxNode } from "./syntax.ts";

/** One change of a file. */
export interface Mutant {
  readonly id: number;
  readonly start: number;
  readonly end: number;
  readonly line: number;
  /** The function or constant that it stands in. */
  readonly place: string;
  readonly original: string;
  /** What stands there instead; null: the statement is left out. */
  readonly mutated: string | null;
}

/** All changes of a TypeScript file that the operators know, in the order in which they stand. */
export function findMutants(source: string): readonly Mutant[] {
  const mutants: Mutant[] = [];
  const visit = (node: SyntaxNode, place: string, isInChain: boolean): void => {
    const inside = nameOf(node) ?? place;
    const replacements = isInChain ? [] : replacementsOf(node, source);
    for (const mutated of replacements) {
      const original = source.slice(node.start, node.end);
      const line = source.slice(0, node.start).split("\n").length;
      if (mutated !== original)
        mutants.push({ id: mutants.length, start: node.start, end: node.end, line, place: inside, original, mutated });
    }
    for (const child of childrenOf(node)) visit(child.node, inside, child.isInChain);
  };
  visit(parseAst(source, { lang: "ts" }) as unknown as SyntaxNode, "", false);
  return mutants;
}

/** The source with all mutants in it, of which `isMutant(id)` chooses one at a time. */
export function instrument(source: string, mutants: readonly Mutant[]): string {
  const insertions: { readonly at: number; readonly rank: number; readonly text: string }[] = [];
  for (const { id, start, end, mutated } of mutants) {
    const [before, after] =
      // In braces, or an `else` after it would be taken for its own.
      mutated === null ? [`{ if (!isMutant(${id})) {`, "}}"] : [`(isMutant(${id}) ? (${mutated}) : (`, "))"];
    const size = end - start;
    // Where several begin, the widest is outside; where several end, the narrowest ends first. Equal ones nest by number.
    insertions.push({ at: start, rank: 1e9 - size * 1e3 + id / 1e6, text: before });
    insertions.push({ at: end, rank: -1e9 + size * 1e3 - id / 1e6, text: after });
  }
  insertions.sort((a, b) => a.at - b.at || a.rank - b.rank);
  let at = 0;
  let text = "const { isMutant } = globalThis;";
  for (const insertion of insertions) {
    text += source.slice(at, insertion.at) + insertion.text;
    at = insertion.at;
  }
  return text + source.slice(at);
}

function nameOf(node: SyntaxNode): string | null {
  const isNamed = ["FunctionDeclaration", "VariableDeclarator", "MethodDefinition"].includes(node.type);
  const name = isNamed ? ((node["id"] ?? node["key"]) as { name?: unknown } | null)?.name : undefined;
  return typeof name === "string" ? name : null;
}
