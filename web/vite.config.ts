// One build per entry (`--mode viewer`, `--mode app`): a script and a style sheet that need nothing beside them.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const ENTRIES = ["viewer", "app"];
const HERE = fileURLToPath(new URL(".", import.meta.url));
const BUILT = join(HERE, "../src/likeness/view/built");

/** Files below a folder, without what is installed and without the other entries' own folders. */
function sources(folder: string, entry: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    const place = relative(HERE, path).replaceAll("\\", "/");
    if (name === "node_modules" || name.startsWith(".") || name.endsWith(".md")) return [];
    if (ENTRIES.some((other) => other !== entry && place === `src/${other}`)) return [];
    return statSync(path).isDirectory() ? sources(path, entry) : [place];
  });
}

/** sha256 over "path NUL content NUL" of an entry's sources, sorted by path; tests/test_web_built.py compares. */
function digest(entry: string): string {
  const state = createHash("sha256");
  for (const path of sources(HERE, entry).sort()) {
    state.update(path).update("\0").update(readFileSync(join(HERE, path))).update("\0");
  }
  return state.digest("hex");
}

function recorded(entry: string): Plugin {
  return { name: "record", closeBundle: () => writeFileSync(join(BUILT, `${entry}.sha256`), `${digest(entry)}\n`) };
}

export default defineConfig(({ mode: entry }) => ({
  plugins: [recorded(entry)],
  define: { "process.env.NODE_ENV": '"production"' },
  build: {
    outDir: BUILT,
    emptyOutDir: false,
    target: "es2022",
    cssCodeSplit: false,
    reportCompressedSize: false,
    lib: {
      entry: join(HERE, `src/${entry}/main.ts`),
      formats: ["iife"],
      name: "likeness",
      fileName: () => `${entry}.js`,
      cssFileName: entry,
    },
  },
}));
