import { stripTypeScriptTypes } from "node:module";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { listFiles, readText } from "../../io/files.ts";
import type { PageAnswer } from "../../io/page-server.ts";

/** The files of the page, by path; nothing else of the disk is ever looked at. */
export interface Pages {
  /** Null: there is no such page. */
  find(path: string): Promise<PageAnswer | null>;
}

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".ts": "text/javascript; charset=utf-8",
};

const DIRECTORY = fileURLToPath(new URL("../../ui/", import.meta.url));

/**
 * The page as it stands in src/ui or dist/ui. From the sources, a browser is given what is left of a module without its
 * types, made when it is first asked for.
 */
export async function openPages(directory = DIRECTORY): Promise<Pages> {
  const names = await listFiles(directory);
  const files = new Map(
    names.filter((name) => TYPES[extname(name)] !== undefined).map((name) => [`/ui/${name}`, name]),
  );
  const read = new Map<string, Promise<string>>();
  const bodyOf = (name: string): Promise<string> => {
    const body = read.get(name) ?? readBody(join(directory, name));
    read.set(name, body);
    return body;
  };
  return {
    async find(path) {
      if (path === "/") return page(".html", await bodyOf("page.html"));
      const name = files.get(path);
      if (name !== undefined) return page(extname(name), await bodyOf(name));
      // The page names its first module as the build does.
      return path === "/ui/main.js" && files.has("/ui/main.ts") ? page(".js", 'import "./main.ts";\n') : null;
    },
  };
}

async function readBody(path: string): Promise<string> {
  const text = await readText(path);
  return extname(path) === ".ts" ? stripTypeScriptTypes(text) : text;
}

function page(extension: string, body: string): PageAnswer {
  return { status: 200, headers: { "content-type": TYPES[extension]! }, body };
}
