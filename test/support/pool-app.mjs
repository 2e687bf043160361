// An app of which a test runs several behind one service. Called with its name; where it listens is told by PORT.
// It answers with its name, keeps count of what came, holds back what it is told to, and dies of /die.
import { createServer } from "node:http";

const name = process.argv[2];
/** How often each path's head came. */
const seen = {};
/** Answers that are held back. */
let held = [];

const server = createServer((request, response) => {
  const path = request.url;
  if (path === "/seen") return void response.end(JSON.stringify(seen));
  if (path === "/release") {
    for (const release of held.splice(0)) release();
    return void response.end();
  }
  seen[path] = (seen[path] ?? 0) + 1;
  if (path.startsWith("/hold")) held.push(() => response.writeHead(503).end(name));
  else if (path.startsWith("/die")) request.on("data", () => request.socket.destroy());
  else request.resume().on("end", () => response.end(name));
});
server.listen(Number(process.env.PORT), "127.0.0.1");
