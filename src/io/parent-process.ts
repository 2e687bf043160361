const CHECK_MS = 250;

/**
 * Calls `onGone` once when the process that started this one has ended, whatever way: the system then gives us another
 * parent. Never keeps the process alive by itself.
 */
export function watchParent(onGone: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    onGone();
  }, CHECK_MS);
  timer.unref();
}
