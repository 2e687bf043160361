// A workload that a test may kill: HTTP/1.1 over mutual TLS, as a sidecar's inbound side would answer. What it shows
// for itself comes on standard input; its port goes to standard output.
import { createServer } from "node:https";
import { text } from "node:stream/consumers";

const { chainPem, keyPem, rootsPem, name } = JSON.parse(await text(process.stdin));
const options = { cert: chainPem, key: keyPem, ca: rootsPem, requestCert: true, ALPNProtocols: ["http/1.1"] };
const server = createServer(options, (_request, response) => response.end(name));
server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
