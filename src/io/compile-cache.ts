/**
 * Writes what the runtime has compiled so far where NODE_COMPILE_CACHE says, if it says so. Of itself the runtime does
 * that when the process ends, and never when it is killed, so that whatever starts the same file meanwhile compiles it
 * again: a sixth of the time to listening.
 */
export function keepCompiled(): void {
  process.getBuiltinModule("node:module").flushCompileCache();
}
