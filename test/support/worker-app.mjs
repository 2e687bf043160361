import http from "node:http";

// An app that knows of no sidecar, as a program: `worker-app.mjs URL` calls the URL first of all, then serves on 8080, and
// calls once more when it is told to end. A request for `/held` is answered at its very end. What came of its calls are
// lines of its stdout.

const [url] = process.argv.slice(2);
const held = [];

const call = (path) =>
  new Promise((resolve) => {
    http
      .get(`${url}${path}`, (answer) => resolve(answer.resume().statusCode))
      .on("error", (error) => resolve(error.code));
  });

process.stdout.write(`first ${await call("/first")}\n`);
const server = http.createServer((request, response) => {
  if (request.url === "/held") held.push(response);
  else response.end("here\n");
  process.stdout.write(`asked ${request.url}\n`);
});
server.listen(8_080, "::", () => process.stdout.write("serving\n"));
process.once("SIGTERM", async () => {
  process.stdout.write(`last ${await call("/last")}\n`);
  for (const response of held) response.end("at the end\n");
  server.close(() => process.exit(0));
});
